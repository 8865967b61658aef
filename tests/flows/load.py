"""Workers that lease, release and submit until they are told to stop."""

import http.client
import json
import random
import socket
import threading
from typing import NamedTuple
from urllib.parse import urlsplit


class Submitter(NamedTuple):
    """A project, and the headers of a worker that may submit to it."""

    project: int
    headers: dict[str, str]


def make_submitter(server):
    project = int(server.manage("create_project", "load", "--public").split()[2])
    headers = dict(line.split(": ") for line in server.manage("create_worker", "load").splitlines())
    server.manage("grant_access", headers["X-Worker-ID"], "load", "--submit")
    return Submitter(project, headers)


class Load:
    """So many clients, each a thread; every second one opens a connection for each request, the others keep theirs.

    `answers` counts what they got; `failures` says what they should not have got. With `may_end`, a client ends when
    nobody listens any more; otherwise that is a failure.
    """

    def __init__(self, address, submitter, *, clients=4, may_end=False, pause=0.0):
        self.address, self.submitter, self.may_end, self.pause = address, submitter, may_end, pause
        self.answers = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, count):
        """Wait until there are `count` answers more."""
        wanted = self.answers + count
        while self.answers < wanted and any(thread.is_alive() for thread in self._threads):
            self._stop.wait(0.01)

    def _work(self, number):
        chance = random.Random(number)
        project, headers = self.submitter
        worker = Client(self.address, headers, keep=number % 2 == 0)
        try:
            while not self._stop.is_set():
                self._call(worker, "POST", "/task/submit", {"project": project, "recipe": f"by {number}"})
                leased = self._call(worker, "GET", f"/task/get/{project}")
                if "task" in leased:
                    self._call(worker, "POST", "/task/release", {"task_id": leased["task"]["id"], "result": 0})
                self._stop.wait(self.pause * chance.random())
        except Ended:
            pass
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            worker.close()

    def _call(self, worker, method, path, body=None):
        try:
            status, answer = worker.call(method, path, body)
        except ConnectionRefusedError as error:
            raise (Ended if self.may_end else error) from error
        if status != 200:
            raise AssertionError(f"{method} {path}: {status} {answer}")
        self.answers += 1
        return json.loads(answer).get("content")


class Ended(Exception):
    """Nobody listens any more."""


class Client:
    """One connection, kept until an answer says that it is the last one there, unless `keep` is false."""

    def __init__(self, address, headers, *, keep=True):
        self._keep = keep
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        self._headers = headers

    def call(self, method, path, body=None):
        """The status and the body of the response."""
        if self._connection.sock is None:
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = None if body is None else json.dumps(body)
        self._connection.request(method, path, body=raw, headers=self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if not self._keep:
            self.close()
        return response.status, answer

    def close(self):
        self._connection.close()
