"""POST /project/create."""

import pytest

from projects.access import roles_of, set_roles
from projects.models import Project
from projects.roles import ALL_ROLES, Role
from tests.client import Api
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db

URL = "/project/create"
FULL = {
    "name": "My project",
    "clone_url": "http://github.com/test/test",
    "git_repo": "test/test",
    "version": "1.0",
    "priority": 999,
    "motd": "Hello\nthere",
    "public": False,
    "hidden": True,
    "chain": 0,
    "assign_rate": 2,
    "submit_rate": 0.5,
}


@pytest.fixture
def as_manager(manager):
    return Api().login(manager)


@pytest.fixture
def as_admin(tracker_admin):
    return Api().login(tracker_admin)


def test_it_works(as_manager, manager):
    answer = as_manager.post(URL, FULL)
    assert answer.status == 200
    project = Project.objects.get(pk=answer.content["id"])
    stored = {name: getattr(project, name) for name in FULL if name != "chain"}
    assert stored == {name: value for name, value in FULL.items() if name != "chain"}
    assert project.chain is None
    assert roles_of(manager, project) == ALL_ROLES
    assert len(project.webhook_secret) >= 32
    assert project.secret == "{}"


def test_only_the_name_is_required(as_manager):
    project = Project.objects.get(pk=as_manager.post(URL, {"name": "x"}).content["id"])
    assert (project.public, project.hidden, project.paused) == (False, False, False)
    assert (project.assign_rate, project.priority, project.lease_seconds, project.retention_days) == (0, 0, 3600, 7)


def test_webhook_secrets_differ(as_manager):
    for name in "ab":
        as_manager.post(URL, {"name": name})
    assert len(set(Project.objects.values_list("webhook_secret", flat=True))) == 2


def test_public_needs_a_tracker_admin(as_manager, as_admin):
    answer = as_manager.post(URL, {"name": "x", "public": True})
    assert answer.status == 403
    assert "public" in answer.message
    assert not Project.objects.exists()
    assert as_admin.post(URL, {"name": "x", "public": True}).status == 200


def test_public_and_hidden_exclude_each_other(as_admin):
    answer = as_admin.post(URL, {"name": "x", "public": True, "hidden": True})
    assert answer.status == 400
    assert answer.message.startswith("hidden: ")
    assert not Project.objects.exists()


def test_taken_name(as_manager):
    ProjectFactory(name="x", hidden=True, public=False)
    assert as_manager.post(URL, {"name": "x"}).status == 409
    assert Project.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", ""),
        ("name", "x" * 201),
        ("name", 5),
        ("priority", -1),
        ("priority", "1"),
        ("public", 1),
        ("hidden", "true"),
        ("chain", -1),
        ("assign_rate", -0.5),
        ("assign_rate", True),
        ("assign_rate", "fast"),
        ("submit_rate", 1e-7),
        ("motd", []),
        ("motd", "x" * 10_001),
        ("lease_seconds", 0),
        ("retention_days", -1),
    ],
)
def test_refuses_a_field(as_manager, field, value):
    answer = as_manager.post(URL, {"name": "x"} | {field: value})
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert not Project.objects.exists()


def test_chain_needs_edit_in_the_target(as_manager, manager):
    seen, hidden = ProjectFactory(), ProjectFactory(secluded=True)
    assert as_manager.post(URL, {"name": "x", "chain": seen.pk}).status == 403
    assert as_manager.post(URL, {"name": "x", "chain": hidden.pk}).status == 404
    assert as_manager.post(URL, {"name": "x", "chain": 10**9}).status == 404
    assert not Project.objects.filter(name="x").exists()
    set_roles(manager=manager, project=seen, roles=Role.EDIT)
    answer = as_manager.post(URL, {"name": "x", "chain": seen.pk})
    assert Project.objects.get(pk=answer.content["id"]).chain == seen


def test_needs_a_manager(api, worker):
    assert api.post(URL, {"name": "x"}).status == 401
    assert api.post(URL, {"name": "x"}, worker=worker).status == 401
    assert not Project.objects.exists()
