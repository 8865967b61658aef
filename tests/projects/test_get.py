"""GET /project/get/:id."""

import pytest
from django.contrib.auth.models import Group, Permission
from guardian.shortcuts import assign_perm, remove_perm

from tests.factories import ProjectFactory, grant

pytestmark = pytest.mark.django_db


def url(project):
    return f"/project/get/{project.pk}"


@pytest.fixture
def hidden(db):
    return ProjectFactory(secluded=True)


def test_it_works(api):
    chain = ProjectFactory()
    project = ProjectFactory(
        name="My project",
        priority=999,
        clone_url="http://github.com/test/test",
        git_repo="myrepo",
        version="1.0",
        motd="hello",
        chain=chain,
        paused=True,
        assign_rate=2,
        submit_rate=0.5,
        secret="not for you",
    )
    answer = api.get(url(project))
    assert answer.status == 200
    expected = {
        "id": project.pk,
        "priority": 999,
        "name": "My project",
        "clone_url": "http://github.com/test/test",
        "git_repo": "myrepo",
        "version": "1.0",
        "motd": "hello",
        "public": True,
        "hidden": False,
        "chain": chain.pk,
        "paused": True,
        "assign_rate": 2.0,
        "submit_rate": 0.5,
    }
    limits = {
        "max_lease_seconds": 86_400,
        "max_leases": 0,
        "max_expiries": 0,
        "retry_backoff": "none",
        "retry_seconds": 60,
        "retry_max_seconds": 3600,
        "retry_jitter": 0,
        "max_votes": 0,
        "ageing_seconds": 0,
    }
    assert answer.content == expected | limits | {"project": expected}


def test_api_prefix(api, project):
    assert api.get(f"/api{url(project)}").content["id"] == project.pk


def test_defaults(api, project):
    content = api.get(url(project)).content
    assert (content["priority"], content["chain"], content["assign_rate"], content["submit_rate"]) == (0, 0, 0, 0)
    assert (content["clone_url"], content["git_repo"], content["version"], content["motd"]) == ("", "", "", "")


def test_private_project_is_visible_to_everybody(api, worker):
    project = ProjectFactory(private=True)
    for caller in (None, worker):
        assert api.get(url(project), worker=caller).content["name"] == project.name


@pytest.mark.parametrize("kind", ["public", "private", "secluded"])
def test_never_a_secret(api, tracker_admin, kind):
    project = ProjectFactory(secret="the secret", webhook_secret="the other secret", **{kind: True})
    answer = api.login(tracker_admin).get(url(project))
    assert answer.status == 200
    assert b"secret" not in answer.response.content


@pytest.mark.parametrize("number", [0, 10**9, 2**63 - 1])
def test_unknown_project(api, number):
    answer = api.get(f"/project/get/{number}")
    assert answer.status == 404
    assert "rate_limit_delay" not in answer.json


def test_hidden_project(api, hidden):
    assert api.get(url(hidden)).status == 404


@pytest.mark.parametrize("logged_in", [False, True])
def test_hidden_project_and_missing_project_get_the_same_response(api, manager, hidden, logged_in):
    if logged_in:
        api.login(manager)
    path = url(hidden)
    there = api.get(path)
    hidden.delete()
    not_there = api.get(path)
    assert there.status == not_there.status == 404
    assert there.response.content == not_there.response.content
    assert there.headers == not_there.headers


def test_hidden_project_with_read(api, manager, hidden):
    assign_perm("projects.read_project", manager, hidden)
    assert api.login(manager).get(url(hidden)).content["name"] == hidden.name
    remove_perm("projects.read_project", manager, hidden)
    assert api.get(url(hidden)).status == 404


@pytest.mark.parametrize("role", ["edit_project", "manage_access_project", "secret_project", "maintain_project"])
def test_other_roles_do_not_show_it(api, manager, hidden, role):
    assign_perm(f"projects.{role}", manager, hidden)
    assert api.login(manager).get(url(hidden)).status == 404


def test_read_elsewhere_does_not_count(api, manager, hidden):
    assign_perm("projects.read_project", manager, ProjectFactory(secluded=True))
    assert api.login(manager).get(url(hidden)).status == 404


def test_read_through_a_group(api, manager, hidden):
    group = Group.objects.create(name="readers")
    manager.groups.add(group)
    assign_perm("projects.read_project", group, hidden)
    assert api.login(manager).get(url(hidden)).status == 200


def test_read_on_all_projects_does_not_count(api, manager, hidden):
    manager.user_permissions.add(Permission.objects.get(codename="read_project"))
    assert api.login(manager).get(url(hidden)).status == 404


def test_tracker_admin_sees_hidden_projects(api, tracker_admin, hidden):
    assert api.login(tracker_admin).get(url(hidden)).status == 200


def test_inactive_manager_sees_no_hidden_projects(api, manager, hidden):
    assign_perm("projects.read_project", manager, hidden)
    api.login(manager)
    manager.is_active = False
    manager.save()
    assert api.get(url(hidden)).status == 404


@pytest.mark.parametrize("granted", [{"assign": True}, {"submit": True}])
def test_workers_do_not_read_hidden_projects(api, worker, hidden, granted):
    grant(worker, hidden, **granted)
    assert api.get(url(hidden), worker=worker).status == 404
