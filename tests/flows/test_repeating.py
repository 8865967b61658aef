"""Calls with an Idempotency-Key, whose answers are lost by a crash or a hang-up, over real connections."""

import http.client
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psutil
import pytest

from tests.flows.server import Server
from tests.processes import PATIENCE_SECONDS, eventually

OPTIONS = {"WORKER_CREATE_RATE": "", "WEB_PROCESSES": "2", "EMBEDDED_POSTGRES_OPTIONS": "-c fsync=off"}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("tracker"), **OPTIONS).start()
    yield server
    assert server.stop() == 0


class Worker:
    """A worker with SUBMIT on a project of its own that has tasks. Each call has a connection of its own."""

    def __init__(self, tracker, name):
        self.tracker, self.headers = tracker, {}
        created = json.loads(self.send("POST", "/worker/create", {"alias": "w"})[2])["content"]["worker"]
        self.headers = {"X-Worker-ID": str(created["id"]), "X-Secret": created["secret"]}
        self.project = int(tracker.manage("create_project", name, "--public").split()[2])
        tracker.manage("grant_access", str(created["id"]), str(self.project), "--submit")

    def add(self, count):
        recipes = "".join(f"{number}\n" for number in range(count))
        self.tracker.manage("submit_tasks", str(self.project), "-", stdin=recipes)

    def connection(self):
        return http.client.HTTPConnection(urlsplit(self.tracker.address).netloc, timeout=PATIENCE_SECONDS)

    def send(self, method, path, body=None, key=None):
        connection = self.connection()
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, response.headers, response.read().decode()
        connection.close()
        return answer

    def again(self, *request):
        """The answer to a repeated call, as soon as there is one."""
        answers = []

        def answered():
            try:
                answers.append(self.send(*request))
            except (OSError, http.client.HTTPException):
                return False
            return answers[-1][0] != 503

        eventually(answered)
        return answers[-1]

    def state(self):
        """How many tasks are ready and leased, and how many are closed."""
        lines = map(json.loads, self.tracker.manage("queue_status", "--json").splitlines())
        (mine,) = [one for one in lines if one["id"] == self.project]
        return mine["ready"], mine["leased"], mine["closed"]


@pytest.fixture
def worker(tracker, request):
    return Worker(tracker, request.node.name)


def postmaster(tracker):
    pid = (tracker.folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
    return psutil.Process(int(pid))


def kill(root, *, but=()):
    """Kill a process with all below it at once, such that none has time to tidy up."""
    processes = [one for one in [root, *root.children(recursive=True)] if one not in but]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def calls_of(worker):
    """A call of each kind, with keys; each is made when the one before has been."""
    project = worker.project
    yield "POST", "/task/submit", {"project": project, "recipe": "x"}, "submit"
    yield "POST", "/task/bulk_submit", [{"project": project, "recipe": "x"}] * 3, "bulk submit"
    yield "GET", f"/task/get/{project}?wait=20", None, "get with wait"
    yield "GET", "/task/get?count=2", None, "get any"
    get = "GET", f"/task/get/{project}", None, "get"
    yield get
    held = json.loads(worker.send(*get)[2])["content"]["task"]["id"]
    yield "POST", "/task/exchange", {"project": project, "count": 1, "releases": [{"task_id": held, "result": 0}]}, "ex"


def test_the_database_is_killed_after_the_answer(tracker, worker):
    worker.add(10)
    for request in calls_of(worker):
        first = worker.send(*request)
        kill(postmaster(tracker))
        again = worker.again(*request)
        assert again[0] == first[0] == 200
        assert again[2] == first[2]
        assert again[1]["Idempotency-Replayed"] == "true"
    assert worker.state() == (9, 4, 1)


def test_the_tracker_is_killed_after_the_answer(tmp_path):
    tracker = Server(tmp_path, **OPTIONS).start()
    worker = Worker(tracker, "mine")
    worker.add(10)
    for request in list(calls_of(worker))[-2:]:
        first = worker.send(*request)
        kill(psutil.Process(tracker.process.pid), but=[postmaster(tracker)])
        tracker.stop()
        tracker.start()
        again = worker.again(*request)
        assert again[0] == first[0] == 200
        assert again[2] == first[2]
        assert again[1]["Idempotency-Replayed"] == "true"
    assert tracker.stop() == 0


def test_two_at_the_same_moment(worker):
    worker.add(40)
    path = f"/task/get/{worker.project}"
    for number in range(20):
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(worker.send, ["GET"] * 4, [path] * 4, [None] * 4, [f"{number}"] * 4))
        assert {(status, body) for status, _, body in answers} == {(200, answers[0][2])}
        assert sum("Idempotency-Replayed" in headers for _, headers, _ in answers) == 3
    assert worker.state() == (20, 20, 0)


def test_who_hangs_up_takes_no_task_and_may_go_on_waiting(worker):
    request = "GET", f"/task/get/{worker.project}?wait=20", None, "k"
    for _ in range(3):
        connection = worker.connection()
        connection.request(*request[:2], headers={**worker.headers, "Idempotency-Key": "k"})
        time.sleep(0.1)
        connection.close()
    worker.add(2)
    assert worker.state() == (2, 0, 0)
    first = worker.send(*request)
    assert json.loads(first[2])["ok"] is True
    assert "Idempotency-Replayed" not in first[1]
    assert worker.send(*request)[2] == first[2]
    assert worker.state() == (1, 1, 0)


def test_two_that_wait_at_the_same_moment(worker):
    request = "GET", f"/task/get/{worker.project}?wait=20", None, "k"
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(worker.send, *request) for _ in range(4)]
        time.sleep(0.5)
        worker.add(4)
        answers = [one.result() for one in waiting]
    assert len({body for _, _, body in answers}) == 1
    assert json.loads(answers[0][2])["ok"] is True
    assert worker.state() == (3, 1, 0)


def test_an_empty_answer_at_the_end_of_the_wait(worker):
    request = "GET", f"/task/get/{worker.project}?wait=1", None, "k"
    first = worker.send(*request)
    assert json.loads(first[2])["content"]["reason"] == "empty"
    worker.add(1)
    again = worker.send(*request)
    assert again[2] == first[2]
    assert again[1]["Idempotency-Replayed"] == "true"


def test_other_requests_and_keys_that_are_none(worker):
    path = f"/task/get/{worker.project}"
    worker.send("GET", path, None, "k")
    status, _, body = worker.send("GET", f"{path}?count=1", None, "k")
    assert status == 422
    assert "Idempotency-Key" in json.loads(body)["message"]
    for key in ("", "   ", "x" * 65, "é"):
        status, _, body = worker.send("GET", path, None, key)
        assert status == 400
        assert json.loads(body)["message"].startswith("Idempotency-Key: ")


def test_large_and_chunked_requests(worker):
    """They are answered in threads; the same request may come in either way."""
    project = worker.project
    body = json.dumps([{"project": project, "recipe": "x" * 1000, "hash64": number} for number in range(1, 101)])
    assert len(body) > 64 * 1024
    first = worker.send("POST", "/task/bulk_submit", json.loads(body), "large")
    assert json.loads(first[2])["content"]["created"] == 100
    assert worker.send("POST", "/task/bulk_submit", json.loads(body), "large")[2] == first[2]
    first = worker.send("POST", "/task/submit", {"project": project, "recipe": "x"}, "small")
    connection = worker.connection()
    parts = [b'{"project": %d, ' % project, b'"recipe": "x"}']
    headers = {**worker.headers, "Idempotency-Key": "small"}
    connection.request("POST", "/task/submit", iter(parts), headers, encode_chunked=True)
    assert connection.getresponse().read().decode() == first[2]
    connection.close()
    assert worker.state() == (101, 0, 0)
