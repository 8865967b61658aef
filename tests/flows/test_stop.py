"""A tracker is stopped at any moment, by any signal, however often, under load: it ends in time and leaves nothing."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import psutil
import pytest

from tests.flows.load import Load, make_submitter
from tests.flows.server import Server
from tests.flows.test_clients import CurlClient, read_answer
from tests.processes import PATIENCE_SECONDS, eventually

# Longer than a stop takes on a busy machine, if nothing holds it up.
STOP_SECONDS = 30
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
OPTIONS = {
    "WEB_PROCESSES": "2",
    "WORKER_CREATE_RATE": "",
    "EMBEDDED_POSTGRES_OPTIONS": "-c fsync=off",
    "STOP_SECONDS": str(STOP_SECONDS),
}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A tracker that has run before, and a worker for it."""
    server = Server(tmp_path_factory.mktemp("stop"), **OPTIONS).start()
    submitter = make_submitter(server)
    assert server.stop() == 0
    return server.folder, submitter


@pytest.fixture
def folder(before):
    return before[0]


@pytest.fixture
def submitter(before):
    return before[1]


def left(folder):
    """All processes that belong to the tracker in this folder: each has got its environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TRACKER_DATA_DIR") == str(folder):
                found.append(process)
    return found


def send(process, chance):
    """A signal, once or fifty times, to the process or its group. Returns it."""
    number = chance.choice(SIGNALS)
    kill = chance.choice([os.kill, os.killpg])
    for _ in range(chance.choice([1, 50])):
        with contextlib.suppress(ProcessLookupError):
            kill(process.pid, number)
    return number


def assert_ends(process, folder):
    """Returns the exit code."""
    began = time.monotonic()
    code = process.wait(PATIENCE_SECONDS)
    assert time.monotonic() - began < STOP_SECONDS
    assert left(folder) == []
    return code


def begin(folder):
    server = Server(folder, **OPTIONS)
    command = [sys.executable, "manage.py", "serve", "--port", "0"]
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=server.env, start_new_session=True, text=True, **output)


@pytest.fixture(autouse=True, scope="module")
def signals_are_not_ignored():
    """As they are where the tests were started with nohup or in the background.

    A tracker that is only just starting would ignore them, too, and never end.
    """
    defaults = {signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stop_after(seconds, folder, chance):
    with begin(folder) as process:
        try:
            time.sleep(seconds)
            number = send(process, chance)
            code = assert_ends(process, folder)
        finally:
            process.kill()
        # Until its handlers are there, Python ends as the signal does by default.
        assert code in (0, -number, 128 + number)
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("seed", range(3))
def test_while_it_starts(folder, seed):
    chance = random.Random(seed)
    for _ in range(4):
        stop_after(chance.uniform(0, 2), folder, chance)


def test_while_it_starts_for_the_first_time(tmp_path):
    """Every time it gets a little further: initdb, migrations, static files."""
    chance = random.Random(0)
    for step in range(8):
        stop_after(0.8 + step * 0.3, tmp_path, chance)
    server = Server(tmp_path, **OPTIONS).start()
    assert CurlClient(server.address).call("GET", "/project/list")["ok"]
    assert [one.name for one in (tmp_path / "postgres").glob("initdb-*")] == []
    assert server.stop() == 0
    assert left(tmp_path) == []


@pytest.mark.parametrize("seed", range(10))
def test_under_load(folder, submitter, seed):
    chance = random.Random(seed)
    server = Server(folder, **OPTIONS).start()
    with Load(server.address, submitter, may_end=True) as load:
        load.wait_for_answers(20)
        time.sleep(chance.uniform(0, 0.5))
        if chance.random() < 0.4:
            server.process.send_signal(signal.SIGUSR2)
            time.sleep(chance.uniform(0, 2))
        send(server.process, chance)
        assert_ends(server.process, folder)
    assert server.stop() == 0
    assert load.failures == []
    assert load.answers > 20


def connect(server):
    where = urlsplit(server.address)
    return socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS)


def listens(server):
    try:
        connect(server).close()
    except OSError:
        return False
    return True


def read_all(connection):
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


HEAD = b"POST /worker/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n"
LIST = b"GET /project/list HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_whatever_clients_hold(folder):
    seconds = 6
    server = Server(folder, **OPTIONS | {"STOP_SECONDS": str(seconds)}).start()
    with contextlib.ExitStack() as stack:
        silent, half_a_head, half_a_body, idle, unread = (stack.enter_context(connect(server)) for _ in range(5))
        half_a_head.sendall(HEAD)
        half_a_body.sendall(HEAD + b'\r\n{"alias":')
        idle.sendall(LIST)
        assert read_answer(idle)["ok"]
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.sendall(LIST.replace(b"/project/list", b"/api/schema") * 16)
        time.sleep(0.2)
        began = time.monotonic()
        server.process.terminate()
        assert assert_ends(server.process, folder) == 0
        # A second more, since the machine may be busy.
        assert time.monotonic() - began < seconds + 1
        for connection in (half_a_head, half_a_body):
            answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b'"The tracker is being stopped; try again."' in answer
        for connection in (silent, idle):
            assert read_all(connection) == b""
    server.stop()


def test_request_on_a_kept_connection_after_the_signal(folder):
    server = Server(folder, **OPTIONS).start()
    with connect(server) as kept:
        kept.sendall(LIST)
        assert read_answer(kept)["ok"]
        server.process.terminate()
        eventually(lambda: not listens(server))
        kept.sendall(LIST)
        answer = read_all(kept)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert assert_ends(server.process, folder) == 0
    server.stop()
