"""Who may call what: one table of every endpoint, every persona and every kind of project."""

import orjson
import pytest
from django.db import transaction
from django.urls import get_resolver

from projects.access import set_roles
from projects.roles import Role
from tasks.fingerprints import text_of
from tasks.models import Task
from tests.client import Answer, Api
from tests.factories import SOMEBODY, FailureGroupFactory, ProjectFactory, TaskFactory, UserFactory, grant, register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]

KINDS = {"public": {}, "private": {"private": True}, "hidden": {"secluded": True}}

WORKERS = ("worker", "paused worker", "worker ASSIGN", "worker SUBMIT")
MANAGERS = ("manager", *(f"manager {role.name}" for role in Role), "tracker admin")
PERSONAS = ("nobody", *WORKERS, *MANAGERS)

ANYBODY = set(PERSONAS)
ANY_WORKER = set(WORKERS)
ANY_MANAGER = set(MANAGERS)
ADMIN = {"tracker admin"}


def with_role(role):
    return {f"manager {role.name}", *ADMIN}


def seen(hidden):
    """Everybody, except that of a hidden project only these."""
    return {"public": ANYBODY, "private": ANYBODY, "hidden": hidden}


READERS = seen(with_role(Role.READ))
# Who may see what workers reported of a project's tasks.
INSIDERS = {
    "public": set(MANAGERS) - {"manager"},
    "private": set(MANAGERS) - {"manager"},
    "hidden": with_role(Role.READ),
}
GRANTED = {"worker ASSIGN", "worker SUBMIT"}

# Address, method, body, and who is allowed: one set for every kind of project, or a set for each kind. P, W and M stand
# for the ids of the project, of the worker with a pending request, and of another manager; F for a group of
# failures, and T for a task with a vote.
TABLE = [
    ("", "GET", None, ANYBODY),
    ("worker/create", "POST", {"alias": "x"}, ANYBODY),
    ("worker/update", "POST", {"alias": "x"}, ANY_WORKER),
    ("worker/get/W", "GET", None, ANYBODY),
    ("worker/rotate_secret", "POST", {}, ANY_WORKER),
    ("worker/stats", "GET", None, ANYBODY),
    ("worker/figures", "GET", None, ANY_WORKER),
    ("worker/set_paused", "POST", {"worker": "W", "paused": True}, ADMIN),
    ("task/get/P", "GET", None, {"public": ANY_WORKER - {"paused worker"}, "private": GRANTED, "hidden": GRANTED}),
    ("task/get", "GET", None, {"public": ANY_WORKER - {"paused worker"}, "private": GRANTED, "hidden": GRANTED}),
    ("task/release", "POST", {"task_id": 1, "result": 0}, ANY_WORKER),
    ("task/bulk_release", "POST", [{"task_id": 1, "result": 0}], ANY_WORKER),
    # A paused worker may still report, and keep what it has.
    ("task/heartbeat", "POST", [{"task_id": 1, "lease": "00000000-0000-0000-0000-000000000001"}], ANY_WORKER),
    (
        *("task/exchange", "POST", {"project": "P", "count": 1}),
        {"public": ANY_WORKER, "private": ANY_WORKER, "hidden": GRANTED},
    ),
    ("task/submit", "POST", {"project": "P", "recipe": "x"}, {"worker SUBMIT"}),
    ("task/bulk_submit", "POST", [{"project": "P", "recipe": "x"}], {"worker SUBMIT"}),
    # What somebody may not know of is unknown; tests/tasks/test_status.py tests whose tasks are told.
    ("task/status/1", "GET", None, ANY_WORKER | ANY_MANAGER),
    ("task/status", "POST", {"ids": [1]}, ANY_WORKER | ANY_MANAGER),
    # As with the status: what somebody may not cancel is not found; tests/tasks/test_cancel.py tests whose tasks are.
    ("task/cancel", "POST", {"ids": [1]}, (ANY_WORKER - {"paused worker"}) | ANY_MANAGER),
    ("project/results/P", "GET", None, with_role(Role.READ) | {"worker SUBMIT"}),
    ("project/results/P/lines", "GET", None, with_role(Role.READ) | {"worker SUBMIT"}),
    *(
        (f"log/{level}", "POST", {"scope": "s", "message": "m", "timestamp": 1}, ANY_WORKER)
        for level in ("trace", "info", "warn", "error")
    ),
    ("log/bulk", "POST", [{"level": "info", "scope": "s", "message": "m", "timestamp": 1}], ANY_WORKER),
    ("logs", "POST", {}, ANY_MANAGER),
    ("project/get/P", "GET", None, READERS),
    ("project/list", "GET", None, ANYBODY),
    ("project/monitoring/P", "GET", None, READERS),
    ("project/monitoring-between/P?from=0&to=1", "GET", None, READERS),
    ("project/assignees/P", "GET", None, READERS),
    (
        *("project/workers/P", "GET", None),
        {"public": ANY_MANAGER, "private": ANY_MANAGER, "hidden": with_role(Role.READ)},
    ),
    ("project/create", "POST", {"name": "x"}, ANY_MANAGER),
    ("project/update/P", "POST", {"motd": "x"}, with_role(Role.EDIT)),
    # Requesting what is already granted is a 400. The response does not reveal whether a hidden project exists.
    ("project/request_access", "POST", {"project": "P", "submit": True}, ANY_WORKER - {"worker SUBMIT"}),
    ("project/access_list/P", "GET", None, with_role(Role.MANAGE_ACCESS)),
    ("project/accept_request/P/W", "POST", {}, with_role(Role.MANAGE_ACCESS)),
    ("project/reject_request/P/W", "POST", {}, with_role(Role.MANAGE_ACCESS)),
    ("project/secret/P", "GET", None, with_role(Role.SECRET) | GRANTED),
    ("project/secret/P", "POST", {"secret": "x"}, with_role(Role.SECRET)),
    ("project/webhook_secret/P", "GET", None, with_role(Role.SECRET)),
    ("project/webhook_secret/P", "POST", {"webhook_secret": "x"}, with_role(Role.SECRET)),
    ("project/reset_failed_tasks/P", "POST", {}, with_role(Role.MAINTENANCE)),
    ("project/reclaim_assigned_tasks/P", "POST", {}, with_role(Role.MAINTENANCE)),
    ("project/hard_reset/P", "POST", {}, with_role(Role.MAINTENANCE)),
    ("project/put_back_closed/P/W", "POST", {}, with_role(Role.MAINTENANCE)),
    ("project/put_back_votes/P/W", "POST", {}, with_role(Role.MAINTENANCE)),
    ("project/accept_vote/P", "POST", {"task_id": "T", "verification": 7}, with_role(Role.MAINTENANCE)),
    ("project/set_operator/P", "POST", {"workers": ["W"], "operator": "Ada"}, with_role(Role.MAINTENANCE)),
    ("project/failures/P", "GET", None, INSIDERS),
    ("project/failures/P/F", "GET", None, INSIDERS),
    ("project/failures/P/F", "POST", {"action": "retry"}, with_role(Role.MAINTENANCE)),
    ("register", "POST", {"username": "newcomer", "password": "correct horse"}, ANYBODY),
    # The password is wrong for everybody; tests/accounts/test_login.py tests that everybody may try.
    ("login", "POST", {"username": "nobody", "password": "x"}, set()),
    ("logout", "GET", None, ANYBODY),
    ("logout", "POST", {}, ANYBODY),
    ("account", "GET", None, ANYBODY),
    ("manager/list", "GET", None, ANY_MANAGER),
    ("manager/promote/M", "POST", {}, ADMIN),
    ("manager/demote/M", "POST", {}, ADMIN),
    (
        *("manager/list_for_project/P", "GET", None),
        {"public": ANY_MANAGER, "private": ANY_MANAGER, "hidden": with_role(Role.READ)},
    ),
    ("manager/set_role_for_project/P", "POST", {"manager": "M", "role": 1}, with_role(Role.MANAGE_ACCESS)),
    # Identified by its signature; see tests/projects/test_webhooks.py.
    ("git/receivehook", "POST", {"repository": {"full_name": "a/b"}}, set()),
]


def api_addresses(patterns=None, prefix=""):
    """Every API address, as in the URL configuration; without pages."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = f"{prefix}{pattern.pattern}"
        if hasattr(pattern, "url_patterns"):
            yield from api_addresses(pattern.url_patterns, route)
        elif not route.startswith(("api/", "admin/")) and not route.endswith("/"):
            yield route


def shape(address):
    """An address of either notation, with * for its ids."""
    parts = address.split("?")[0].split("/")
    return "/".join("*" if part.startswith("<") or part in ("P", "W", "M", "F", "1") else part for part in parts)


def test_no_address_is_missing():
    assert {shape(address) for address, *_ in TABLE} == {shape(address) for address in api_addresses()}


@pytest.fixture
def scene(kind):
    return Scene(kind)


class Scene:
    def __init__(self, kind):
        # Workers without a grant read the secret of a public project if nobody has set it.
        self.project = ProjectFactory(secret="a secret", **KINDS[kind])
        TaskFactory(project=self.project)
        self.asking = register("asking")
        self.manager = UserFactory(username="other", is_superuser=True)
        access = grant(self.asking, self.project)
        access.wants_assign = True
        access.save()
        group = FailureGroupFactory(project=self.project)
        # Not for the workers of the table to lease.
        voted = TaskFactory(project=self.project, status=Task.Status.FAILED, voters=[SOMEBODY], votes=[7])
        self.ids = {
            "P": self.project.pk,
            "W": self.asking.worker.pk,
            "M": self.manager.pk,
            "F": text_of(group.fingerprint),
            "T": voted.pk,
        }

    def fill(self, value):
        """Replace the letters by the ids."""
        match value:
            case dict():
                return {key: self.fill(part) for key, part in value.items()}
            case list():
                return [self.fill(part) for part in value]
            case str() if value in self.ids:
                return self.ids[value]
        return value

    def call(self, persona, address, method, body):
        api, worker = Api(), None
        if persona in WORKERS:
            worker = register(persona, paused=persona == "paused worker")
            if persona in GRANTED:
                grant(worker, self.project, assign=persona == "worker ASSIGN", submit=persona == "worker SUBMIT")
        elif persona in MANAGERS:
            user = UserFactory(is_superuser=persona in ADMIN)
            for role in Role:
                if persona == f"manager {role.name}":
                    set_roles(manager=user, project=self.project, roles=role)
            api.login(user)
        path = "/" + "/".join(str(self.fill(part)) for part in address.split("?")[0].split("/"))
        path += address[address.index("?") :] if "?" in address else ""
        identity = {} if worker is None else {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}
        if method == "GET":
            return api.client.get(path, headers=identity)
        return api.client.generic("POST", path, orjson.dumps(self.fill(body)), headers=identity)


def got_through(response):
    if response.status_code == 204 or response.streaming:
        return True
    answer = Answer(response)
    if answer.status == 200:
        # Without a task to lease, the status is 200 as well, with a reason.
        return answer.ok or "reason" not in answer.json.get("content", {})
    assert answer.status in (400, 401, 403, 404), answer
    return False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("address", "method", "body", "allowed"), TABLE)
def test_table(scene, kind, address, method, body, allowed):
    expected = allowed[kind] if isinstance(allowed, dict) else allowed
    through = set()
    for persona in PERSONAS:
        # Roll back what each persona has done.
        with transaction.atomic():
            if got_through(scene.call(persona, address, method, body)):
                through.add(persona)
            transaction.set_rollback(True)
    assert through == expected
