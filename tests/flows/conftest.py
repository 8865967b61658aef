import pytest

from tests.flows.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running tracker, in which each test creates its own projects."""
    server = Server(tmp_path_factory.mktemp("server"), WORKER_CREATE_RATE="").start()
    yield server
    assert server.stop() == 0
