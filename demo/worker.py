"""A worker that uses nothing of the tracker but its HTTP API. A model for your own.

python -m demo.worker ADDRESS PROJECT [honest|liar|crasher|slow|sleeper]
"""

import argparse
import http.client
import json
import os
import random
import signal
import sys
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

from demo.computation import computed, verification_hash

OK, FAIL = 0, 1

PATIENCE_SECONDS = 60.0
# How many tasks the crasher fails before it dies holding a lease.
CRASHER_FAILS = 3
# The liar pauses; otherwise it would vote on every task.
LIAR_PAUSE_SECONDS = 0.05
# The slow one works on one task for longer than the demo's leases last, and says often enough that it still does.
SLOW_SECONDS = 8.0
HEARTBEAT_SECONDS = 1.5


class Tracker:
    """A persistent connection to the tracker, reopened when it breaks."""

    def __init__(self, address: str) -> None:
        self.host = urlsplit(address).netloc
        self.headers: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON of the response. Waits as told when the tracker is busy, and retries while it is unreachable.

        A request whose response was lost is sent again under the same key, so it gets the first answer, and has no
        second effect.
        """
        headers = {**self.headers, "Idempotency-Key": str(uuid.uuid4())}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self.host, timeout=30)
                self._connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
                response = self._connection.getresponse()
                answer: dict[str, Any] = json.loads(response.read())
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                self._connection = None
                wait = 0.2
            else:
                if response.status < 500 and response.status != 429:
                    answer["retry_after"] = float(response.headers.get("Retry-After", 0))
                    return answer
                wait = answer.get("rate_limit_delay", 0.2)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: no answer for {PATIENCE_SECONDS:.0f} seconds")
            time.sleep(wait)

    def register(self, alias: str) -> None:
        """Register as a worker; all later calls send its headers."""
        worker = self.call("POST", "/worker/create", {"alias": alias})["content"]["worker"]
        self.headers = {"X-Worker-ID": str(worker["id"]), "X-Secret": worker["secret"]}

    def lease(self, project: int) -> dict[str, Any]:
        """Lease a task, waiting for one as long as it takes."""
        while True:
            answer = self.call("GET", f"/task/get/{project}")
            if answer["ok"]:
                task: dict[str, Any] = answer["content"]["task"]
                return task
            time.sleep(answer["retry_after"] or 1)

    def heartbeat(self, task: dict[str, Any]) -> bool:
        """Extend the lease of a task. Returns whether the worker still holds it."""
        (answer,) = self.call("POST", "/task/heartbeat", [{"task_id": task["id"], "lease": task["lease"]}])["content"][
            "heartbeats"
        ]
        return bool(answer["state"] == "extended")

    def release(self, task: dict[str, Any], result: int, verification: int = 0, **told: Any) -> bool:
        """Report a task, with an `output` or a `message`. Returns whether the worker still held it.

        The id of the lease keeps this from ending a later lease of the same task.
        """
        report = {"task_id": task["id"], "lease": task["lease"], "result": result, "verification": verification}
        answer = self.call("POST", "/task/release", report | told)
        return "does not hold" not in answer.get("message", "")


def do(tracker: Tracker, task: dict[str, Any]) -> bool:
    """Compute the result of a task and report it. Returns whether the worker still held it."""
    recipe = json.loads(task["recipe"])
    result = computed(recipe["path"], recipe["compute"])
    return tracker.release(task, OK, verification_hash(recipe["path"], recipe["compute"], result), output=result)


def honest(tracker: Tracker, project: int) -> None:
    while True:
        do(tracker, tracker.lease(project))


def liar(tracker: Tracker, project: int) -> None:
    while True:
        task = tracker.lease(project)
        tracker.release(task, OK, random.getrandbits(63), output="made up")
        time.sleep(LIAR_PAUSE_SECONDS)


def crasher(tracker: Tracker, project: int) -> None:
    for _ in range(CRASHER_FAILS):
        task = tracker.lease(project)
        tracker.release(task, FAIL, message=f"Out of memory while reading the file of task {task['id']}.")
    tracker.lease(project)
    os.kill(os.getpid(), signal.SIGKILL)


def slow(tracker: Tracker, project: int) -> None:
    """Take longer for a task than its lease lasts, and keep the lease by heartbeats."""
    task = tracker.lease(project)
    say("leased", task["id"])
    done = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < done and tracker.heartbeat(task):
        time.sleep(HEARTBEAT_SECONDS)
    say("kept" if do(tracker, task) else "lost", task["id"])


def sleeper(tracker: Tracker, project: int) -> None:
    """Stop in the middle of a task, as a machine does that is suspended, and go on when somebody wakes it."""
    task = tracker.lease(project)
    say("leased", task["id"])
    os.kill(os.getpid(), signal.SIGSTOP)
    say("accepted" if do(tracker, task) else "refused", task["id"])


def say(what: str, task: int) -> None:
    """A line for the demo."""
    sys.stdout.write(f"{what} {task}\n")
    sys.stdout.flush()


BEHAVIOURS = {"honest": honest, "liar": liar, "crasher": crasher, "slow": slow, "sleeper": sleeper}


def main() -> None:
    parser = argparse.ArgumentParser(description="A worker for the demo.")
    parser.add_argument("address")
    parser.add_argument("project", type=int)
    parser.add_argument("behaviour", choices=BEHAVIOURS, nargs="?", default="honest")
    options = parser.parse_args()
    tracker = Tracker(options.address)
    tracker.register(f"{options.behaviour} {os.getpid()}")
    BEHAVIOURS[options.behaviour](tracker, options.project)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
