"""The examples in /api/schema: a real request and response of each API call.

`make examples` records them again; the test fails if recorded keys or types differ from those that are sent.
"""

import hashlib
import hmac
import os
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from accounts.models import User
from projects.models import Project
from tasks.models import Task
from tasks.queue.upkeep import take_snapshots
from tests.client import Api
from tests.contract import described, operation_for
from tracker.api.openapi import EXAMPLES
from workers.models import Worker
from workers.services import Registration

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]


class Recorder:
    """Calls the API and records the first request and response of each API call."""

    def __init__(self) -> None:
        self.api = Api()
        self.recorded: dict[str, Any] = {}

    def get(self, path: str, **options: Any) -> Any:
        return self._keep("GET", path, None, self.api.get(path, **options))

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        raw = {} if body is None else {"body": body}
        if path in ("/logout",) or "promote" in path or "demote" in path:
            response = self.api.client.post(path)
            assert response.status_code == 204
            return self.recorded.setdefault(self._key("POST", path), {})
        return self._keep("POST", path, body, self.api.post(path, **raw, **options))

    def _key(self, method: str, path: str) -> str:
        return f"{method} {operation_for(method, path.split('?')[0])}"

    def _keep(self, method: str, path: str, body: Any, answer: Any) -> Any:
        assert answer.ok, (path, answer)
        example = {"response": answer.json} if body is None else {"request": body, "response": answer.json}
        self.recorded.setdefault(self._key(method, path), example)
        return answer.content if "content" in answer.json else None


def played() -> dict[str, Any]:
    """Make each API call once, in an order that works; returns the recorded examples."""
    calls = Recorder()
    get, post = calls.get, calls.post
    get("/")
    password = "correct horse battery"
    manager = post("/register", {"username": "ada", "password": password})["manager"]
    other = Api().post("/register", {"username": "grace", "password": password}).content["manager"]
    post("/logout")
    calls.recorded["GET /logout"] = {}
    post("/login", {"username": "ada", "password": password})
    get("/account")
    get("/manager/list")
    post(f"/manager/promote/{other['id']}")
    post(f"/manager/demote/{other['id']}")

    archive = post("/project/create", {"name": "Archive", "hidden": True})["id"]
    settings = {"clone_url": "https://git.example/physics/simulate", "git_repo": "physics/simulate", "public": True}
    project = post("/project/create", {"name": "Simulate", **settings, "version": "v1", "chain": archive})["id"]
    post(f"/project/update/{project}", {"priority": 10, "motd": "Use at least 8 GiB."})
    get(f"/project/get/{project}")
    get("/project/list")
    post(f"/project/secret/{project}", {"secret": '{"bucket": "results"}'})
    post(f"/project/webhook_secret/{project}", {"webhook_secret": "a long random text"})
    get(f"/project/webhook_secret/{project}")
    post(f"/manager/set_role_for_project/{project}", {"manager": other["id"], "role": 1 + 16})
    get(f"/manager/list_for_project/{project}")

    registered = post("/worker/create", {"alias": "attic-3"})["worker"]
    worker = identity(registered)
    get(f"/worker/get/{registered['id']}")
    post("/worker/update", {"alias": "attic-4"}, worker=worker)
    worker = identity(post("/worker/rotate_secret", worker=worker)["worker"])
    post("/project/request_access", {"project": project, "submit": True}, worker=worker)
    get(f"/project/access_list/{project}")
    post(f"/project/accept_request/{project}/{registered['id']}")
    get(f"/project/secret/{project}", worker=worker)
    once = {"max_retries": 3, "priority": 5, "expires_in": 86400}
    post("/task/submit", {"project": project, "recipe": "seed=1", **once}, worker=worker)
    bulk = [{"project": project, "recipe": f"seed={seed}", "unique_string": f"seed={seed}"} for seed in (2, 3, 3)]
    post("/task/bulk_submit", bulk, worker=worker)
    task = get(f"/task/get/{project}", worker=worker)["task"]
    done = {"task_id": task["id"], "result": 0, "verification": 1234567890123456789, "lease": task["lease"]}
    told = {"output": {"energy": -1.25}, "seconds": 37.5}
    post("/task/release", done | told, worker=worker)
    get(f"/task/status/{task['id']}", worker=worker)
    get(f"/project/results/{project}", worker=worker)
    # A stream, which is no JSON.
    calls.recorded["GET /project/results/{project_id}/lines"] = {}
    (task,) = get("/task/get?count=1", worker=worker)["tasks"]
    post("/task/heartbeat", {"heartbeats": [{"task_id": task["id"], "lease": task["lease"]}]}, worker=worker)
    report = {"task_id": task["id"], "result": 1, "reason": "error", "message": "No space left.", "output": {"free": 0}}
    (task,) = post("/task/exchange", {"project": project, "count": 10, "releases": [report]}, worker=worker)["tasks"]
    post("/task/bulk_release", {"releases": [{"task_id": task["id"], "result": 2}]}, worker=worker)
    post("/task/status", {"ids": [task["id"]]}, worker=worker)
    (failure,) = get(f"/project/failures/{project}")["failures"]
    get(f"/project/failures/{project}/{failure['fingerprint']}")
    changed = {"action": "set_priority", "priority": 9}
    post(f"/project/failures/{project}/{failure['fingerprint']}", changed)
    get(f"/task/get/{project}", worker=worker)
    post("/task/cancel", {"project": project, "unique_strings": ["seed=2", "seed=9"]}, worker=worker)
    for level in ("trace", "info", "warn", "error"):
        body = {"scope": "simulate", "message": "Out of memory.", "timestamp": 1_790_000_000, "task_id": task["id"]}
        post(f"/log/{level}", body, worker=worker)
    begun = {"level": "info", "scope": "simulate", "message": "Begun.", "timestamp": 1_790_000_000}
    failed = {"level": "error", "scope": "simulate", "message": "Out of memory.", "timestamp": 1_790_000_060}
    post("/log/bulk", {"entries": [begun, failed | {"task_id": task["id"]}]}, worker=worker)
    post("/logs", {"level": 4})
    take_snapshots()
    get(f"/project/monitoring/{project}?count=2")
    get(f"/project/monitoring-between/{project}?from=0&to=4000000000")
    get(f"/project/assignees/{project}")
    get("/worker/stats")
    get("/worker/figures", worker=worker)
    get(f"/project/workers/{project}?period=24h&sort=failed")
    post(f"/project/set_operator/{project}", {"workers": [registered["id"]], "operator": "University of Ghent"})
    disputed = Task.objects.create(project_id=project, recipe="seed=9", voters=[registered["id"]], votes=[7])
    post(f"/project/accept_vote/{project}", {"task_id": disputed.pk, "verification": 7})
    post(f"/project/put_back_closed/{project}/{registered['id']}")
    post(f"/project/put_back_votes/{project}/{registered['id']}")
    push(calls, Project.objects.get(pk=project))
    for verb in ("reset_failed_tasks", "reclaim_assigned_tasks", "hard_reset"):
        post(f"/project/{verb}/{project}")
    post(f"/project/reject_request/{project}/{registered['id']}")
    post("/worker/set_paused", {"worker": registered["id"], "paused": True})
    assert User.objects.get(pk=manager["id"]).is_superuser
    return calls.recorded


def identity(registered: dict[str, Any]) -> Registration:
    return Registration(Worker.objects.get(pk=registered["id"]), registered["secret"])


def push(calls: Recorder, project: Project) -> None:
    body = {
        "ref": "refs/heads/main",
        "after": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "repository": {"full_name": project.git_repo, "default_branch": "main"},
    }
    signature = hmac.new(project.webhook_secret.encode(), orjson.dumps(body), hashlib.sha256).hexdigest()
    calls.post("/git/receivehook", body, headers={"X-Hub-Signature-256": f"sha256={signature}"})


def looks(value: Any) -> Any:
    """A value's keys and types, without the values that differ from run to run."""
    if isinstance(value, dict):
        return {key: looks(one) for key, one in value.items()}
    return [looks(one) for one in value] if isinstance(value, list) else type(value).__name__


def test_examples_look_like_real_responses(monkeypatch):
    # The transaction of the test is open, so that what it closes is not settled.
    monkeypatch.setattr("tasks.queries.results.settle", lambda: datetime.max.replace(tzinfo=UTC))
    fresh = played()
    if os.environ.get("RECORD_EXAMPLES"):
        EXAMPLES.write_bytes(orjson.dumps(fresh, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    assert looks(orjson.loads(EXAMPLES.read_bytes())) == looks(fresh)


def test_every_call_has_an_example():
    operations = {f"{method.upper()} {path}" for path, methods in described()["paths"].items() for method in methods}
    assert set(orjson.loads(EXAMPLES.read_bytes())) == operations
