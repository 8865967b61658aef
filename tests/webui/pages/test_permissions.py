"""/projects/7/permissions/."""

import pytest

from accounts.models import User
from projects.access import roles_of
from projects.roles import Role
from tests.factories import ProjectFactory, UserFactory, grant, register
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db


@pytest.fixture
def private():
    return ProjectFactory(private=True)


@pytest.fixture
def client(browser, manager, private):
    return browser(manager, private, Role.MANAGE_ACCESS)


def url(project, part=""):
    return f"/projects/{project.pk}/permissions/{part}"


def ask(registration, project, **columns):
    access = grant(registration, project)
    WorkerAccess.objects.filter(pk=access.pk).update(**({"wants_assign": True} | columns))
    return access


def test_it_works(client, private):
    ask(register("asks"), private)
    grant(register("has"), private, assign=True)
    grant(register("elsewhere"), ProjectFactory(), assign=True)
    context = client.get(url(private)).context
    assert [access.worker.alias for access in context["pending"]] == ["asks"]
    assert [access.worker.alias for access in context["page"]] == ["has"]


def test_approve_and_reject(client, private, api):
    asks, refused = register("asks"), register("refused")
    ask(asks, private)
    ask(refused, private)
    assert api.get(f"/task/get/{private.pk}", worker=asks).content["reason"] == "no_access"
    client.post(url(private, f"{asks.worker.pk}/accept/"))
    client.post(url(private, f"{refused.worker.pk}/reject/"))
    assert api.get(f"/task/get/{private.pk}", worker=asks).content["reason"] == "empty"
    assert api.get(f"/task/get/{private.pk}", worker=refused).content["reason"] == "no_access"
    # Already decided, for instance by another manager at the same time.
    assert client.post(url(private, f"{asks.worker.pk}/accept/")).status_code == 404


def test_grant_to_a_worker_that_has_not_asked(client, private, worker):
    client.post(url(private, "grant/"), {"worker": worker.worker.pk, "access": "submit"})
    assert WorkerAccess.objects.get(worker=worker.worker, project=private).submit


@pytest.mark.parametrize("posted", [{}, {"worker": "4711", "access": "assign"}, {"worker": "x", "access": "all"}])
def test_grant_refused(client, private, posted):
    response = client.post(url(private, "grant/"), posted, follow=True)
    assert [message.level_tag for message in response.context["messages"]] == ["error"]
    assert not WorkerAccess.objects.exists()


def test_roles(client, private):
    other = UserFactory(username="grace")
    client.post(url(private, "roles/"), {"manager": "Grace", "role": ["1", "16"]})
    assert roles_of(other, private) == Role.READ | Role.MAINTENANCE
    client.post(url(private, "roles/"), {"manager": "grace", "role": ["2", "999", "x"]})
    assert roles_of(other, private) == Role.EDIT
    client.post(url(private, "roles/"), {"manager": "grace"})
    assert roles_of(other, private) == Role(0)


def test_roles_for_an_unknown_manager(client, private):
    response = client.post(url(private, "roles/"), {"manager": "<b>", "role": "1"}, follow=True)
    assert "There is no manager called “&lt;b&gt;”" in response.content.decode()


def test_aliases_are_escaped(client, private):
    ask(register("<script>alert(1)</script>"), private)
    assert "<script>alert" not in client.get(url(private)).content.decode()


def test_roles_go_to_the_account_of_exactly_that_name(client, private):
    look_alike, meant = UserFactory(username="other"), UserFactory(username="samuel")
    User.objects.filter(pk=look_alike.pk).update(username="ſamuel", username_key=f"samuel\n{look_alike.pk}")
    client.post(url(private, "roles/"), {"manager": "samuel", "role": "16"})
    assert roles_of(meant, private) == Role.MAINTENANCE
    client.post(url(private, "roles/"), {"manager": "SAMUEL", "role": "1"})
    assert roles_of(meant, private) == Role.READ
    assert roles_of(look_alike, private) == Role(0)


def test_adding_removes_no_role(client, private):
    other = UserFactory(username="grace")
    client.post(url(private, "roles/"), {"manager": "grace", "role": ["2", "16"]})
    client.post(url(private, "roles/"), {"manager": "grace", "role": "1", "add": ""})
    assert roles_of(other, private) == Role.READ | Role.EDIT | Role.MAINTENANCE


def test_a_name_with_a_nul(client, private):
    assert client.post(url(private, "roles/"), {"manager": "a\0", "role": "1"}).status_code == 302
