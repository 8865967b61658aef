"""A manager's whole day, as a script with a cookie jar and no CSRF token, over real HTTP while a worker leases."""

import hashlib
import hmac
import json
import threading

import pytest
import requests

from tests.flows.test_clients import BareClient
from tests.processes import eventually


class Manager:
    """A script's session. Checks the status of every response and returns its `content`."""

    def __init__(self, address, username):
        self.address = address
        self.session = requests.Session()
        self.username, self.password = username, "correct horse battery"

    def call(self, method, path, body=None, *, status=200):
        response = self.session.request(method, f"{self.address}{path}", json=body, timeout=30)
        assert response.status_code == status, (path, response.text)
        return response.json().get("content", {}) if response.content else {}

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, body or {}, **options)

    def register(self):
        credentials = {"username": self.username, "password": self.password}
        self.id = self.post("/register", credentials)["manager"]["id"]
        return self

    def close(self):
        self.session.close()


@pytest.fixture
def people(server):
    # The server is shared, so one of these may or may not be its first account; a command sets who is admin.
    admin, manager, colleague = (Manager(server.address, name) for name in ("day-admin", "day-manager", "day-friend"))
    for person in (admin, manager, colleague):
        person.register()
    server.manage("shell", "-v0", "-c", _PROMOTE.format(admin=admin.id, others=[manager.id, colleague.id]))
    yield admin, manager, colleague
    for person in (admin, manager, colleague):
        person.close()


_PROMOTE = (
    "from accounts.models import User; User.objects.filter(pk={admin}).update(is_superuser=True); "
    "User.objects.filter(pk__in={others}).update(is_superuser=False)"
)


def lease(client, project):
    return client.call("GET", f"/task/get/{project}")


def test_a_whole_day(server, people):
    admin, manager, colleague = people
    assert manager.get("/account")["manager"]["username"] == "day-manager"

    # Morning: projects. Only a tracker admin may make one public.
    manager.post("/project/create", {"name": "day open", "public": True}, status=403)
    final = manager.post("/project/create", {"name": "day final", "hidden": True})["id"]
    private = manager.post("/project/create", {"name": "day work", "chain": final, "git_repo": "day/work"})["id"]
    manager.post(f"/project/update/{final}", {"chain": private}, status=400)
    names = [project["name"] for project in colleague.get("/project/list")["projects"]]
    assert "day work" in names
    assert "day final" not in names

    # Workers request access; one is accepted and submits, the other is rejected.
    good, bad = BareClient(server.address), BareClient(server.address)
    ids = {client: client.register()["id"] for client in (good, bad)}
    for client in (good, bad):
        assert lease(client, private)["content"]["reason"] == "no_access"
        asked = client.call("POST", "/project/request_access", {"project": private, "assign": True, "submit": True})
        assert asked["ok"]
    accesses = manager.get(f"/project/access_list/{private}")["accesses"]
    assert {access["worker"]["id"] for access in accesses if access["request"]} == set(ids.values())
    manager.post(f"/project/accept_request/{private}/{ids[good]}")
    manager.post(f"/project/reject_request/{private}/{ids[bad]}")
    batch = [{"project": private, "recipe": f"task {n}", "max_retries": 1} for n in range(5_000)]
    assert good.call("POST", "/task/bulk_submit", batch)["content"]["created"] == 5_000
    assert lease(bad, private)["content"]["reason"] == "no_access"

    # The worker leases all day, during everything that follows.
    done, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            task = lease(good, private).get("content", {}).get("task")
            if task:
                result = 1 if len(done) % 10 == 9 else 0
                good.call("POST", "/task/release", {"task_id": task["id"], "result": result, "lease": task["lease"]})
                done.append(task["project"]["version"])

    worker = threading.Thread(target=work)
    worker.start()
    try:
        # A push webhook from the git host; the worker gets the version with its next lease.
        commit = "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5"
        secret = manager.get(f"/project/webhook_secret/{private}")["webhook_secret"]
        push = {"ref": "refs/heads/main", "after": commit, "repository": {"full_name": "day/work"}}
        raw = json.dumps(push).encode()
        signature = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
        url = f"{server.address}/git/receivehook"
        assert requests.post(url, raw, headers=headers, timeout=30).json()["content"] == {"updated_projects": 1}
        assert requests.post(url, raw + b" ", headers=headers, timeout=30).status_code == 403
        assert manager.get(f"/project/get/{private}")["version"] == commit

        # Roles for the colleague, one at a time.
        calls = {
            2: ("POST", f"/project/update/{private}", {"motd": "changed"}),
            4: ("GET", f"/project/access_list/{private}", None),
            8: ("GET", f"/project/secret/{private}", None),
            16: ("POST", f"/project/reset_failed_tasks/{private}", {}),
        }
        for role in calls:
            manager.post(f"/manager/set_role_for_project/{private}", {"manager": colleague.id, "role": role})
            for needed, call in calls.items():
                colleague.call(*call, status=200 if needed == role else 403)
        manager.post(f"/manager/set_role_for_project/{private}", {"manager": colleague.id, "role": 0})
        managers = manager.get(f"/manager/list_for_project/{private}")["managers"]
        assert [(one["manager"]["username"], one["role"]) for one in managers] == [("day-manager", 31)]

        # Secrets are changed.
        manager.post(f"/project/secret/{private}", {"secret": '{"key": 1}'})
        manager.post(f"/project/webhook_secret/{private}", {"webhook_secret": "another"})
        assert requests.post(url, raw, headers=headers, timeout=30).status_code == 403

        # The worker is paused and resumed.
        manager.post("/worker/set_paused", {"worker": ids[good], "paused": True}, status=403)
        admin.post("/worker/set_paused", {"worker": ids[good], "paused": True})
        assert "paused" in BareClient.call(_as(bad, good), "GET", f"/task/get/{private}")["message"]
        admin.post("/worker/set_paused", {"worker": ids[good], "paused": False})
        before = len(done)
        eventually(lambda: len(done) > before + 20)
    finally:
        stop.set()
        worker.join()
    assert done[-1] == commit
    assert _secret(good, private) == '{"key": 1}'

    # Evening: failed tasks are reset, all tasks are deleted, and the worker's access is revoked.
    failed = len(done) // 10
    assert manager.post(f"/project/reset_failed_tasks/{private}")["affected_tasks"] <= failed
    assert lease(good, private)["ok"]
    assert manager.post(f"/project/reclaim_assigned_tasks/{private}")["affected_tasks"] == 1
    assert {"assignee": "unassigned"}.items() <= manager.get(f"/project/assignees/{private}")["assignees"][0].items()
    assert manager.post(f"/project/hard_reset/{private}")["affected_tasks"] > 0
    manager.post(f"/project/reject_request/{private}/{ids[good]}")
    assert lease(good, private)["content"]["reason"] == "no_access"
    assert manager.get(f"/project/monitoring/{private}?count=5")["snapshots"] is not None

    # Log out.
    manager.post("/logout", status=204)
    manager.get(f"/project/access_list/{private}", status=401)
    for client in (good, bad):
        client.close()


def _as(connection, worker):
    """The identity of `worker` over the other client's connection: its own is in use by its thread."""
    connection.identity = worker.identity
    return connection


def _secret(client, project):
    return client.call("GET", f"/project/secret/{project}")["content"]["secret"]
