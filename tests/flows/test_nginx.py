"""Two trackers behind nginx, configured as docs/deployment.md says, are stopped, started and reloaded in turn."""

import contextlib
import re
import shutil
import signal
import socket
import subprocess

import pytest
from django.conf import settings

from tests.flows.load import Load, make_submitter
from tests.flows.server import Server
from tests.processes import PATIENCE_SECONDS, eventually
from tracker.postgres.server import DATABASE, USER, EmbeddedServer

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")

# Everything that it writes goes to its folder, and it stays in the foreground.
MAIN = """
daemon off;
error_log error.log;
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""


class Tracker(Server):
    """A tracker on a port that stays the same, with a database that it shares."""

    def __init__(self, folder, port, database):
        folder.mkdir()
        super().__init__(
            folder, WEB_PROCESSES="1", WORKER_CREATE_RATE="", SECRET_KEY="shared", TRUSTED_PROXIES="127.0.0.1"
        )
        self.env["DATABASE_URL"] = database
        self.port = port

    def _command(self, *arguments):
        return [str(self.port) if argument == "0" else argument for argument in super()._command(*arguments)]

    def reload(self):
        said = len(self.output)
        self.process.send_signal(signal.SIGUSR2)
        eventually(lambda: any("Reloaded." in line for line in self.output[said:]))


def free_ports(count):
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def configuration(port, trackers):
    """The one in the docs, with the addresses of this test and without TLS."""
    text = (settings.BASE_DIR / "docs" / "deployment.md").read_text()
    block = re.search(r"```nginx\n(.*?)```", text, re.DOTALL)[1]
    addresses = [f"127.0.0.1:{tracker.port}" for tracker in trackers]
    for documented, actual in zip(("10.0.0.11:3010", "10.0.0.12:3010"), addresses, strict=True):
        block = block.replace(documented, actual)
    return MAIN + block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};") + "}\n"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    server = EmbeddedServer(tmp_path_factory.mktemp("pg"), options="-c fsync=off")
    server.attach()
    yield f"postgres://{USER}@{str(server.socket_folder).replace('/', '%2F')}/{DATABASE}"
    server.detach()


@pytest.fixture(scope="module")
def trackers(tmp_path_factory, database):
    folder = tmp_path_factory.mktemp("n")
    _, *ports = free_ports(3)
    trackers = [Tracker(folder / str(port), port, database).start() for port in ports]
    yield trackers
    for tracker in trackers:
        assert tracker.stop() == 0


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, trackers):
    """The address of nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    (port,) = free_ports(1)
    (folder / "nginx.conf").write_text(configuration(port, trackers))
    with subprocess.Popen([NGINX, "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: process.poll() is not None or answers(port))
            assert process.poll() is None
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


@pytest.fixture(scope="module")
def submitter(trackers):
    return make_submitter(trackers[0])


@contextlib.contextmanager
def load_on(proxy, submitter):
    """Clients that keep nginx's connections busy, and others that leave them idle, some for longer than nginx does."""
    with Load(proxy, submitter, clients=12, pause=2.5) as sparse, Load(proxy, submitter, clients=4) as dense:
        yield dense
    assert dense.failures == []
    assert sparse.failures == []


def test_each_is_stopped_and_started_again(trackers, proxy, submitter):
    with load_on(proxy, submitter) as load:
        for tracker in trackers * 2:
            load.wait_for_answers(50)
            assert tracker.stop() == 0
            load.wait_for_answers(20)
            tracker.start()


def test_each_is_reloaded(trackers, proxy, submitter):
    with load_on(proxy, submitter) as load:
        for tracker in trackers:
            load.wait_for_answers(50)
            tracker.reload()
