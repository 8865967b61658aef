"""The database does what it was asked to, and its answer is lost: nothing is done twice, and nobody is told so."""

import asyncio
import contextlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos import actions, checker, proxy, stored
from chaos.ledger import Ledger
from chaos.load import Load
from chaos.plan import Plan
from chaos.report import FORESEEN
from chaos.scene import Scene
from tests.processes import PATIENCE_SECONDS
from tracker.postgres.server import DATABASE, USER, EmbeddedServer

# So many clients that calls of several of them go in one statement, see tracker.front.collector.
PLAN = Plan(seed=3, seconds=12, tasks=20_000, clients=40, faults=())
# Only what may go together, without pauses.
ACTIONS = [(actions.submit_one, 4), (actions.submit_again, 1), (actions.one_by_one, 4)]
# Of the statements, so many lose their answers.
LOST = 0.04


@contextlib.contextmanager
def in_between(path):
    """A proxy before the socket at the path, in a thread with a loop of its own. It cuts nothing to begin with."""
    between = proxy.Proxy(lambda: asyncio.open_unix_connection(path), random.Random(5))
    between.is_quiet = True
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE_SECONDS)

    try:
        yield between, call(between.start())
    finally:
        call(between.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def database(tmp_path_factory):
    server = EmbeddedServer(tmp_path_factory.mktemp("database"), options="-c fsync=off")
    server.attach()
    yield server
    server.detach()


def test_lost_answers_of_the_database_do_no_harm(database, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(proxy, "RARELY", LOST)
    monkeypatch.setattr("chaos.load.ACTIONS", ACTIONS)
    monkeypatch.setattr("chaos.load.LONGEST_PAUSE", 0)
    folder = tmp_path_factory.mktemp("tracker")
    ledger = Ledger(folder / "ledger.sqlite")
    with in_between(str(database.socket_folder / ".s.PGSQL.5432")) as (between, port):
        scene = Scene(folder)
        scene.tracker.env["DATABASE_URL"] = f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}"
        scene.tracker.env["WEB_PROCESSES"] = "1"
        scene.tracker.database = database
        try:
            # playwright leaves a loop running in the thread where the browser's tests have been.
            with ThreadPoolExecutor(1) as other:
                other.submit(scene.start).result()
                load = Load(PLAN, scene, ledger)

                async def act():
                    # The clients' own answers all arrive.
                    load.proxy.is_quiet = True
                    between.is_quiet = False
                    await load.run()
                    between.is_quiet = True
                    await load.drain()

                other.submit(asyncio.run, act()).result()
            ledger.complete()
            stored.copy(scene.sql, ledger)
            evidence = checker.Evidence(ledger, scene.sql, list(scene.places.values()), load.told)
            assert checker.check(evidence) == []
        finally:
            scene.tracker.stop()
            ledger.close()
    assert between.cuts > 10
    assert load.statuses["503"] > 10
    assert set(load.statuses) <= FORESEEN
