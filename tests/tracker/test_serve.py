"""The real `manage.py serve`, with its own data folder."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection, HTTPException

import psutil
import psycopg2
import pytest
from django.conf import settings

from tests.processes import PATIENCE_SECONDS, eventually, gone
from tracker.postgres.server import DATABASE, USER, EmbeddedServer

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]


def environment(data):
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CACHE_URL")}
    return kept | {"TRACKER_DATA_DIR": str(data), "WEB_PROCESSES": "2", "PYTHONUNBUFFERED": "1"}


class Serve:
    """A running `serve`. Remembers all processes that it has had, so that none is left behind."""

    def __init__(self, data):
        self.data = data
        self.errors = (data / "stderr").open("a+")
        self.process = subprocess.Popen(
            [*MANAGE, "serve", "--host", "127.0.0.1", "--port", "0"],
            env=environment(data),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
        )
        self.greeting = ""
        for line in self.process.stdout:
            self.greeting += line
            if line.startswith("Ctrl-C"):
                break
        else:
            self.close()
            raise AssertionError((data / "stderr").read_text())
        self.address = re.search(r"listens on (http://[^ ]+)/ ", self.greeting)[1]
        self.host = self.address.removeprefix("http://")
        self.seen = []
        eventually(lambda: len(self.processes()) == 5)

    def processes(self):
        """Everything it started that runs at the moment, the postmaster included."""
        found = [*parts(self), *(worker for part in parts(self) for worker in children(part))]
        found += filter(None, [postmaster(self)])
        self.seen += found
        return found

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE_SECONDS)

    def close(self):
        if self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.processes()
            self.process.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for process in getattr(self, "seen", []):
            if not gone(process):
                process.kill()
        self.process.stdout.close()
        self.errors.close()


def children(process):
    try:
        return [child for child in process.children() if not gone(child)]
    except psutil.NoSuchProcess:
        return []


def parts(serve):
    return children(psutil.Process(serve.process.pid))


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def gunicorn(serve):
    """The web server's first process, or None."""
    return next((part for part in parts(serve) if "gunicorn" in command_of(part)), None)


def scheduler(serve):
    return next((part for part in parts(serve) if "run_scheduler" in command_of(part)), None)


def postmaster(serve):
    """The database's first process, or None."""
    # None also of a file that the postmaster has made and not yet filled.
    pid = EmbeddedServer(serve.data / "postgres").postmaster_pid()
    try:
        return pid and psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def call(serve, method, path, body=None, headers=None):
    """The response's status and JSON, over a new connection."""
    with contextlib.closing(HTTPConnection(serve.host, timeout=PATIENCE_SECONDS)) as connection:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def works(serve):
    """Whether a request that writes to the database is answered."""
    try:
        status, answer = call(serve, "POST", "/worker/create", {"alias": "probe"})
    except (OSError, HTTPException):
        return False
    return status == 200 and answer["ok"]


@pytest.fixture
def start():
    """Starts the tracker in a data folder."""
    with contextlib.ExitStack() as stack:

        def make(data):
            return stack.enter_context(contextlib.closing(Serve(data)))

        yield make


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def first(data):
    """The first start in its data folder."""
    with contextlib.closing(Serve(data)) as serve:
        yield serve


@pytest.fixture
def again(first, data, start):
    """A further start in the same folder."""
    first.close()
    return start(data)


def test_says_where_it_listens_and_what_to_do_next(first):
    lines = first.greeting.splitlines()
    assert re.fullmatch(r"Task tracker \S+ listens on http://127\.0\.0\.1:\d+/ \(database: .*\)", lines[0])
    assert f"embedded PostgreSQL in {first.data / 'postgres'}" in lines[0]
    for step in ("# 1. Register a worker", "# 2. Lease a task", "# 3. Report it done"):
        assert sum(step in line for line in lines) == 1
    assert sum("# Let it into the project hello" in line for line in lines) == 1
    assert "No public project" not in first.greeting
    assert (first.data / "stderr").read_text() == ""


def test_only_its_owner_may_read_the_secret_key(first):
    assert (first.data / "secret_key").stat().st_mode & 0o777 == 0o600


def test_the_sample_is_not_for_programs_that_work_on_every_project(first):
    _, answer = call(first, "POST", "/worker/create", {"alias": "runner"})
    identity = answer["content"]["worker"]
    headers = {"X-Worker-ID": str(identity["id"]), "X-Secret": identity["secret"]}
    _, answer = call(first, "GET", "/project/list")
    (project,) = answer["content"]["projects"]
    assert (project["name"], project["public"], project["hidden"]) == ("hello", False, False)
    for path in (f"/task/get/{project['id']}", "/task/get"):
        status, answer = call(first, "GET", path, headers=headers)
        assert (status, answer["message"]) == (200, "No task available")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_printed_steps_lease_a_task_and_report_it(first, tmp_path):
    steps = first.greeting.split("Try it from another terminal:")[1].split("Ctrl-C")[0]
    # In a terminal like the tracker's, whatever database the tests themselves use.
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    result = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", steps],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    identity = (tmp_path / "worker.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in identity] == ["X-Worker-ID", "X-Secret"]
    task = json.loads((tmp_path / "task.json").read_text())["content"]["task"]
    assert task["recipe"] == "Say hello, 1"
    assert '"ok":true' in result.stdout.splitlines()[-1]
    _, answer = call(first, "GET", "/worker/stats")
    assert [one["closed_task_count"] for one in answer["content"]["stats"] if one["alias"] == "first"] == [1]


def refused(data, host, port):
    """The error message if it can't listen there. Checks that nothing was started."""
    command = [*MANAGE, "serve", "--host", host, "--port", str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(data), text=True, **pipes) as process:
        output = process.stdout.readline()
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, output) == (1, "")
    assert not (data / "postgres").exists()
    (line,) = errors.splitlines()
    return line


def test_port_in_use_is_reported_before_anything_is_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(tmp_path, "127.0.0.1", port)
    assert f"Can't listen on 127.0.0.1:{port} (Address already in use)" in line
    assert "set PORT or HOST" in line


@pytest.mark.parametrize(
    ("host", "port", "problem"),
    [
        ("127.0.0.1", 70_000, "--port: must be a whole number from 0 to 65535, not 70000."),
        ("127.0.0.1", -1, "--port: must be a whole number from 0 to 65535, not -1."),
        ("no.such.host.invalid", 3010, "Can't listen on no.such.host.invalid:3010 ("),
    ],
)
def test_invalid_address_is_reported_in_one_line(tmp_path, host, port, problem):
    assert problem in refused(tmp_path, host, port)


def test_killed_web_worker_is_replaced(first):
    killed = children(gunicorn(first))
    assert len(killed) == 2
    for worker in killed:
        worker.kill()
    eventually(lambda: all(gone(worker) for worker in killed) and len(children(gunicorn(first))) == 2)
    eventually(lambda: works(first))


def test_killed_web_server_is_started_again(first):
    killed = gunicorn(first)
    orphans = children(killed)
    killed.kill()
    eventually(lambda: gunicorn(first) not in (None, killed))
    eventually(lambda: all(gone(worker) for worker in orphans))
    eventually(lambda: works(first))
    first.processes()


def test_killed_scheduler_is_started_again(first):
    killed = scheduler(first)
    killed.kill()
    eventually(lambda: scheduler(first) not in (None, killed))
    server = EmbeddedServer(first.data / "postgres")
    with contextlib.closing(psycopg2.connect(host=str(server.socket_folder), user=USER, dbname=DATABASE)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tracker_chore SET last_done = NULL, next_at = now()")

            def all_done():
                cursor.execute("SELECT bool_and(last_done IS NOT NULL) FROM tracker_chore")
                return cursor.fetchone()[0]

            eventually(all_done)
    first.processes()


def test_killed_database_is_started_again(first):
    assert works(first)
    killed = postmaster(first)
    killed.kill()
    eventually(lambda: gone(killed) and works(first))
    assert postmaster(first) not in (None, killed)
    first.processes()


def test_killed_database_is_started_again_before_a_query(first):
    killed = postmaster(first)
    upkeep = scheduler(first)
    upkeep.suspend()
    try:
        killed.kill()
        eventually(lambda: postmaster(first) not in (None, killed))
    finally:
        upkeep.resume()
    eventually(lambda: works(first))
    first.processes()


@pytest.mark.parametrize(
    ("number", "path"),
    [(signal.SIGTERM, "/worker/stats"), (signal.SIGINT, None)],
    ids=["SIGTERM", "SIGINT"],
)
def test_signal_ends_everything(again, number, path):
    running = again.processes()
    with contextlib.closing(HTTPConnection(again.host, timeout=PATIENCE_SECONDS)) as idle:
        if path:
            # An idle connection does not delay the stop.
            idle.request("GET", path)
            idle.getresponse().read()
        again.send_signal(number)
        assert again.process.stdout.read().splitlines()[-1] == "Stopped."
        assert again.wait() == 0
    eventually(lambda: all(gone(process) for process in running))
    assert not (again.data / "postgres" / "data" / "postmaster.pid").exists()


def test_second_start_finds_its_data_and_makes_no_second_sample(again):
    assert works(again)
    listed = subprocess.run(
        [*MANAGE, "queue_status", "--json"], env=environment(again.data), capture_output=True, text=True, check=True
    )
    (project,) = map(json.loads, listed.stdout.splitlines())
    assert project["name"] == "hello"
    assert project["ready"] + project["closed"] == 10
    assert f"/task/get/{project['id']} " in again.greeting


def test_request_in_flight_is_answered(again):
    body = json.dumps({"alias": "in flight"}).encode()
    head = (
        f"POST /worker/create HTTP/1.1\r\nHost: {again.host}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\nExpect: 100-continue\r\n\r\n"
    )
    host, port = again.host.split(":")
    workers = children(gunicorn(again))
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode())
        # Now the request is being read.
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body[:5])
        again.send_signal(signal.SIGTERM)
        # The worker that has nothing to do ends, so by now the other one is waiting for this request only.
        eventually(lambda: any(gone(worker) for worker in workers))
        connection.sendall(body[5:])
        answer = b""
        while received := connection.recv(10_000):
            answer += received
    status, content = answer.split(b"\r\n", 1)[0], answer.split(b"\r\n\r\n", 1)[1]
    assert status == b"HTTP/1.1 200 OK"
    assert json.loads(content)["content"]["worker"]["alias"] == "in flight"
    assert again.wait() == 0


def end_by_force(serve):
    """Kill the supervisor and wait until its parts have ended."""
    running = [process for process in serve.processes() if process != postmaster(serve)]
    serve.process.kill()
    serve.process.wait()
    eventually(lambda: all(gone(process) for process in running))


def test_killed_supervisor_takes_its_parts_with_it(again, start):
    end_by_force(again)
    assert works(start(again.data))


def test_database_ends_with_the_last_part_of_a_killed_supervisor(again):
    with contextlib.closing(HTTPConnection(again.host, timeout=PATIENCE_SECONDS)) as idle:
        # The web worker uses the database, and outlives the scheduler while it waits for this connection to end.
        idle.request("GET", "/worker/stats")
        idle.getresponse().read()
        database = postmaster(again)
        end_by_force(again)
        # Its lock was free before that, but the kernel may still be busy with its end.
        eventually(lambda: gone(database))
