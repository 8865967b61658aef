"""Two trackers that start at the same moment, in one data folder or on one database: both come up and work."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.flows.server import Server
from tests.flows.test_clients import CurlClient
from tracker.postgres.server import DATABASE, USER, EmbeddedServer

OPTIONS = {"WEB_PROCESSES": "1", "WORKER_CREATE_RATE": "", "EMBEDDED_POSTGRES_OPTIONS": "-c fsync=off"}


@contextlib.contextmanager
def both(servers):
    """Start them at once; stop one after the other."""
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(Server.start, servers))
    try:
        yield
    finally:
        codes = [server.stop() for server in servers]
    assert codes == [0, 0]


def work(servers):
    """A worker registers at each, and the other one knows it."""
    for one, other in (servers, servers[::-1]):
        client = CurlClient(one.address)
        worker = client.register()
        client.host = CurlClient(other.address).host
        assert client.call("GET", f"/worker/get/{worker['id']}")["ok"]


def test_in_one_data_folder(tmp_path):
    servers = [Server(tmp_path, **OPTIONS) for _ in range(2)]
    with both(servers):
        work(servers)
        # There is one sample project.
        assert servers[0].manage("queue_status", "--json").count('"name":') == 1
    # The last one stopped the database.
    assert not EmbeddedServer(tmp_path / "postgres").is_running()


def test_one_goes_on_when_the_other_one_stops(tmp_path):
    servers = [Server(tmp_path, **OPTIONS).start() for _ in range(2)]
    for stopped, running in (servers, servers[::-1]):
        assert stopped.stop() == 0
        assert CurlClient(running.address).register()
        stopped.start()
    assert [server.stop() for server in servers] == [0, 0]
    assert not EmbeddedServer(tmp_path / "postgres").is_running()


@pytest.fixture
def database(tmp_path_factory):
    server = EmbeddedServer(tmp_path_factory.mktemp("pg"), options="-c fsync=off")
    server.attach()
    yield f"postgres://{USER}@{str(server.socket_folder).replace('/', '%2F')}/{DATABASE}"
    server.detach()


def test_on_one_database(tmp_path, database):
    servers = [Server(tmp_path / str(number), SECRET_KEY="shared", **OPTIONS) for number in range(2)]
    for server in servers:
        server.env["DATABASE_URL"] = database
    with both(servers):
        work(servers)
