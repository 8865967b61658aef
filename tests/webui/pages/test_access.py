"""Who may open which page and press which button: every page, every persona, every kind of project, from one table."""

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from projects.access import set_roles
from projects.roles import Role
from tasks.fingerprints import text_of
from tests.factories import FailureGroupFactory, ProjectFactory, TaskFactory, UserFactory, grant, register

pytestmark = pytest.mark.django_db

KINDS = {"public": {}, "private": {"private": True}, "hidden": {"secluded": True}}
MANAGERS = ("manager", *(f"manager {role.name}" for role in Role), "tracker admin")
PERSONAS = ("nobody", *MANAGERS)
ANYBODY, ANY_MANAGER, ADMIN = set(PERSONAS), set(MANAGERS), {"tracker admin"}


def with_role(role):
    return {f"manager {role.name}", *ADMIN}


# Who may see what workers reported of a project's tasks.
INSIDERS = {
    "public": ANY_MANAGER - {"manager"},
    "private": ANY_MANAGER - {"manager"},
    "hidden": with_role(Role.READ),
}
READERS = {"public": ANYBODY, "private": ANYBODY, "hidden": with_role(Role.READ)}

# Address, posted data (None: a GET request), personas that are let through. P, W and M stand for the ids of a project,
# of a worker with a pending request, and of another manager; F for a group of failures.
TABLE = [
    ("projects/", None, ANYBODY),
    ("projects/new/", None, ANY_MANAGER),
    ("projects/new/", {"name": "x"}, ANY_MANAGER),
    ("projects/P/", None, READERS),
    ("projects/P/numbers/", None, READERS),
    ("projects/P/start/", None, READERS),
    ("projects/P/edit/", None, with_role(Role.EDIT)),
    ("projects/P/edit/", {"name": "x"}, with_role(Role.EDIT)),
    ("projects/P/pause/", {}, with_role(Role.EDIT)),
    ("projects/P/resume/", {}, with_role(Role.EDIT)),
    ("projects/P/secrets/", None, with_role(Role.SECRET)),
    ("projects/P/secrets/", {"do": "show"}, with_role(Role.SECRET)),
    ("projects/P/secrets/", {"do": "rotate"}, with_role(Role.SECRET)),
    ("projects/P/secrets/", {"secret": "x"}, with_role(Role.SECRET)),
    ("projects/P/permissions/", None, with_role(Role.MANAGE_ACCESS)),
    ("projects/P/permissions/grant/", {"worker": "W", "access": "assign"}, with_role(Role.MANAGE_ACCESS)),
    ("projects/P/permissions/decide/", {"do": "accept", "worker": "W"}, with_role(Role.MANAGE_ACCESS)),
    (
        "projects/P/permissions/decide/",
        {"do": "reject", "all": "yes", "confirmed": "yes"},
        with_role(Role.MANAGE_ACCESS),
    ),
    ("projects/P/permissions/roles/", {"manager": "other", "role": "1"}, with_role(Role.MANAGE_ACCESS)),
    ("projects/P/permissions/W/accept/", {}, with_role(Role.MANAGE_ACCESS)),
    ("projects/P/permissions/W/reject/", {}, with_role(Role.MANAGE_ACCESS)),
    ("projects/P/console/", None, with_role(Role.MAINTENANCE)),
    ("projects/P/console/", {"recipe": "x"}, with_role(Role.MAINTENANCE)),
    *(
        (f"projects/P/{chore}/", posted, with_role(Role.MAINTENANCE))
        for chore in ("reset-failed", "reclaim", "hard-reset")
        for posted in (None, {})
    ),
    (
        *("projects/P/workers/", None),
        {"public": ANY_MANAGER, "private": ANY_MANAGER, "hidden": with_role(Role.READ)},
    ),
    ("projects/P/workers/operator/", {"worker": "W", "operator": "Ada"}, with_role(Role.MAINTENANCE)),
    ("projects/P/workers/operator/", {"worker": "W", "remove": "yes"}, with_role(Role.MAINTENANCE)),
    ("projects/P/tasks/", None, with_role(Role.READ)),
    ("projects/P/tasks/change/", {"do": "retry", "all": "yes"}, with_role(Role.MAINTENANCE)),
    ("projects/P/tasks/T/accept/", {"verification": "7"}, with_role(Role.MAINTENANCE)),
    ("projects/P/tasks/T/accept/", {"verification": "7", "confirmed": "yes"}, with_role(Role.MAINTENANCE)),
    ("projects/P/results/", None, with_role(Role.READ)),
    ("tasks/T/", None, with_role(Role.READ)),
    ("projects/P/failures/", None, INSIDERS),
    ("projects/P/failures/F/", None, INSIDERS),
    *(
        (f"projects/P/failures/F/{deed}/", posted, with_role(Role.MAINTENANCE))
        for deed in ("retry", "priority", "delete")
        for posted in (None, {"priority": "3"})
    ),
    ("failures/", None, ANY_MANAGER),
    ("workers/", None, ANYBODY),
    ("workers/W/", None, ANY_MANAGER),
    ("workers/W/pause/", {}, ADMIN),
    ("workers/W/resume/", {}, ADMIN),
    ("workers/W/put-back/P/", None, with_role(Role.MAINTENANCE)),
    *(("workers/W/put-back/P/", {"what": what}, with_role(Role.MAINTENANCE)) for what in ("closed", "votes")),
    ("logs/", None, ANY_MANAGER),
    ("accounts/", None, ANY_MANAGER),
    ("accounts/", {}, ANY_MANAGER),
    ("accounts/login/", None, ANYBODY),
    ("accounts/login/", {}, ANYBODY),
    ("accounts/register/", None, ANYBODY),
    ("accounts/register/", {}, ANYBODY),
    ("accounts/logout/", {}, ANYBODY),
    ("accounts/language/", {"language": "fr"}, ANYBODY),
    ("managers/", None, ANY_MANAGER),
    ("managers/M/promote/", {}, ADMIN),
    ("managers/M/demote/", {}, ADMIN),
]


def page_addresses(patterns=None, prefix=""):
    """The address of every page except the admin's, from the URL configuration."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = f"{prefix}{pattern.pattern}"
        if route.startswith(("api/", "admin/")):
            continue
        if hasattr(pattern, "url_patterns"):
            yield from page_addresses(pattern.url_patterns, route)
        elif route.endswith("/"):
            yield route


def shape(address):
    parts = address.split("/")
    return "/".join("*" if part.startswith("<") or part in ("P", "W", "M", "F", "T") else part for part in parts)


def test_no_page_is_missing():
    assert {shape(address) for address, *_ in TABLE} == {shape(address) for address in page_addresses()}


class Scene:
    def __init__(self, kind):
        cache.clear()
        self.project = ProjectFactory(**KINDS[kind])
        task = TaskFactory(project=self.project)
        self.worker = register("asking").worker
        access = grant(register("has"), self.project, assign=True)
        access.worker, access.pk, access.wants_assign, access.assign = self.worker, None, True, False
        access.save(force_insert=True)
        self.other = UserFactory(username="other", is_superuser=True, is_staff=True)
        group = FailureGroupFactory(project=self.project)
        self.ids = {
            "P": self.project.pk,
            "T": task.pk,
            "W": self.worker.pk,
            "M": self.other.pk,
            "F": text_of(group.fingerprint),
        }

    def client(self, persona, **options):
        client = Client(**options)
        if persona != "nobody":
            user = UserFactory(is_superuser=persona in ADMIN, is_staff=True)
            for role in Role:
                if persona == f"manager {role.name}":
                    set_roles(manager=user, project=self.project, roles=role)
            client.force_login(user)
        return client

    def send(self, client, address, posted):
        path = "/" + "/".join(str(self.ids.get(part, part)) for part in address.split("/"))
        if posted is None:
            return client.get(path)
        return client.post(path, {name: self.ids.get(value, value) for name, value in posted.items()})


def is_login(response):
    return response.status_code == 302 and response["Location"].startswith("/accounts/login/?next=")


CASES = [(kind, *row) for row in TABLE for kind in (KINDS if "P" in row[0] else ("public",))]


@pytest.mark.parametrize(
    ("kind", "address", "posted", "expected"), CASES, ids=lambda one: one if type(one) is str else ""
)
def test_table(kind, address, posted, expected):
    let_through = expected if isinstance(expected, set) else expected[kind]
    for persona in PERSONAS:
        with transaction.atomic():
            scene = Scene(kind)
            response = scene.send(scene.client(persona), address, posted)
            # The next persona starts without the changes of this one.
            transaction.set_rollback(True)
        if persona in let_through:
            assert response.status_code in (200, 302, 400), (persona, response.status_code)
            assert not is_login(response), persona
            continue
        hides = kind == "hidden" and "P" in address and persona != "manager READ"
        if hides:
            assert response.status_code == 404, persona
        elif persona == "nobody":
            assert is_login(response)
        else:
            assert response.status_code == 403, persona


@pytest.mark.parametrize(("address", "posted"), [(a, p) for a, p, _ in TABLE if p is not None])
def test_every_form_requires_the_csrf_token(address, posted):
    scene = Scene("public")
    client = scene.client("tracker admin", enforce_csrf_checks=True)
    assert scene.send(client, address, posted).status_code == 403


@pytest.mark.parametrize("address", sorted({address for address, posted, _ in TABLE if posted is None}))
def test_every_page_allows_only_scripts_of_this_origin(address):
    scene = Scene("public")
    response = scene.send(scene.client("tracker admin"), address, None)
    if response.status_code == 302 or response["Content-Type"] == "application/json":
        return
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    # The page contains no script that this policy would block.
    page = response.content.decode().lower()
    assert "<script>" not in page
    assert " onclick=" not in page
    assert "javascript:" not in page
    assert "//cdn" not in page


@pytest.mark.parametrize(
    "address", ["projects/P/pause/", "workers/W/pause/", "accounts/logout/", "managers/M/promote/"]
)
def test_changes_require_post(address):
    scene = Scene("public")
    assert scene.send(scene.client("tracker admin"), address, None).status_code == 405
