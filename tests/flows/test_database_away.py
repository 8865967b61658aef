"""The database goes away under a running tracker: as a whole, and connection by connection during calls."""

import contextlib
import http.client
import json
import random
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.flows.server import Server
from tests.processes import PATIENCE_SECONDS, eventually
from tracker.postgres.server import DATABASE, USER, EmbeddedServer

HTML = {"Accept": "text/html"}
CALLS = 40
CALLERS = 8


class Caller:
    """A client with a persistent connection, logged in and registered as a worker."""

    def __init__(self, address, headers):
        self.connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_SECONDS)
        self.headers = headers

    def call(self, method, path, body=None, headers=None):
        sent = self.headers | (headers or {})
        self.connection.request(method, path, None if body is None else json.dumps(body), sent)
        response = self.connection.getresponse()
        return response.status, response.headers, response.read().decode()

    def close(self):
        self.connection.close()


def identity(address):
    """The headers of a manager's session and of a worker."""
    caller = Caller(address, {})
    _, headers, _ = caller.call("POST", "/register", {"username": "boss", "password": "correct horse"})
    cookies = "; ".join(one.partition(";")[0] for one in headers.get_all("Set-Cookie"))
    worker = json.loads(caller.call("POST", "/worker/create", {"alias": "w"})[2])["content"]["worker"]
    caller.close()
    return {"Cookie": cookies, "X-Worker-ID": str(worker["id"]), "X-Secret": worker["secret"]}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A PostgreSQL that the tracker has not started, and doesn't start again."""
    server = EmbeddedServer(tmp_path_factory.mktemp("database"), options="-c fsync=off")
    server.attach()
    yield server
    server.detach()


@pytest.fixture(scope="module")
def tracker(database, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("tracker"), WORKER_CREATE_RATE="", LOGIN_RATE="", LOGIN_NAME_RATE="")
    server.env["DATABASE_URL"] = f"postgresql://{USER}@/{DATABASE}?host={database.socket_folder}"
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def headers(tracker):
    return identity(tracker.address)


PAGES = (
    "/projects/",
    "/projects/1/",
    "/workers/",
    "/logs/",
    "/accounts/",
    "/admin/",
    "/admin/tasks/task/",
    "/nowhere/",
)
CALLS_OF_THE_API = (
    ("GET", "/project/list", None),
    ("GET", "/account", None),
    ("GET", "/task/get/1", None),
    ("GET", "/task/get", None),
    ("POST", "/task/release", {"task_id": 1, "result": 0}),
    ("POST", "/task/bulk_release", [{"task_id": 1, "result": 0}]),
    ("POST", "/task/heartbeat", [{"task_id": 1, "lease": "00000000-0000-0000-0000-000000000001"}]),
    ("POST", "/log/info", {"scope": "a", "message": "b", "timestamp": 1}),
    ("POST", "/log/bulk", [{"level": "info", "scope": "a", "message": "b", "timestamp": 1}]),
    ("POST", "/login", {"username": "boss", "password": "correct horse"}),
    ("POST", "/worker/create", {"alias": "x"}),
)


def test_the_database_is_stopped_and_started_again(database, tracker, headers):
    caller = Caller(tracker.address, headers)
    assert caller.call("GET", "/projects/", headers=HTML)[0] == 200
    database.detach()
    try:
        for path in PAGES:
            status, fields, page = caller.call("GET", path, headers=HTML)
            assert (status, fields["Content-Type"]) == (503, "text/html; charset=utf-8"), path
            assert '<meta http-equiv="refresh"' in page
            assert "Retry-After" in fields
        for method, path, body in CALLS_OF_THE_API:
            status, fields, text = caller.call(method, path, body)
            assert status == 503, (path, text)
            assert json.loads(text)["ok"] is False
            assert "Retry-After" in fields
        status, fields, _ = caller.call("GET", "/", headers=HTML)
        assert (status, fields["Location"]) == (302, "/projects/")
        assert caller.call("GET", "/")[0] == 200
        icon = page.partition('rel="icon" href="')[2].partition('"')[0]
        assert caller.call("GET", icon)[0] == 200
        assert caller.call("GET", "/accounts/login/", headers={"Cookie": ""})[0] == 200
    finally:
        database.attach()
    eventually(lambda: caller.call("GET", "/projects/", headers=HTML)[0] == 200)
    eventually(lambda: caller.call("GET", "/task/get/1")[0] in (200, 404))
    caller.close()


def test_connections_end_at_any_moment(database, tracker, headers):
    """Every call is answered, and with nothing but its answer or 503."""
    seen: Counter[tuple[str, int]] = Counter()
    noticed, over = threading.Event(), threading.Event()

    def run(seed):
        chance, caller = random.Random(seed), Caller(tracker.address, headers)
        number, deadline = 0, time.monotonic() + PATIENCE_SECONDS
        # On some machines, it takes more calls until one is hit.
        while number < CALLS or (not noticed.is_set() and time.monotonic() < deadline):
            number += 1
            method, path, body = chance.choice([*CALLS_OF_THE_API, *(("GET", page, None) for page in PAGES)])
            # Logging in would give the session that all share another key.
            own = {"Cookie": ""} if path == "/login" else {}
            status, *_ = caller.call(method, path, body, own)
            seen[path, status] += 1
            if status == 503:
                noticed.set()
        caller.close()

    def kill():
        chance = random.Random(0)
        # "with connect()" would make all of it one transaction, which sees the connections of its beginning only.
        session = psycopg2.connect(host=str(database.socket_folder), user=USER, dbname=DATABASE)
        with contextlib.closing(session):
            session.autocommit = True
            with session.cursor() as cursor:
                # New connections need some time to be of use.
                while not over.wait(chance.uniform(0, 0.02)):
                    cursor.execute(OTHERS)
                    others = [pid for (pid,) in cursor.fetchall()]
                    if others:
                        cursor.execute("SELECT pg_terminate_backend(%s)", (chance.choice(others),))

    killer = threading.Thread(target=kill)
    callers = [threading.Thread(target=run, args=(seed,)) for seed in range(CALLERS)]
    for thread in (killer, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    over.set()
    killer.join()
    assert sum(seen.values()) >= CALLS * CALLERS
    assert {status for _path, status in seen} <= {200, 404, 503}, seen
    assert noticed.is_set()
    caller = Caller(tracker.address, headers)
    eventually(lambda: caller.call("GET", "/project/list")[0] == 200)
    caller.close()


OTHERS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
