"""Roles (set_role_for_project, list_for_project), and the secrets that need a role: secret, webhook_secret."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from guardian.shortcuts import assign_perm

from accounts.models import User
from projects.access import given_roles, managers_of, roles_of, set_roles, with_roles
from projects.models import Project, ProjectUserObjectPermission
from projects.roles import ALL_ROLES, CODENAMES, Role
from tests.client import Api
from tests.factories import ProjectFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(project):
    user = UserFactory(username="boss")
    set_roles(manager=user, project=project, roles=ALL_ROLES)
    return user


@pytest.fixture
def as_boss(boss):
    return Api().login(boss)


def set_role(api, project, manager, role):
    return api.post(f"/manager/set_role_for_project/{project.pk}", {"manager": manager.pk, "role": role})


@pytest.mark.parametrize("role", range(32))
def test_every_combination_of_roles(as_boss, project, manager, role):
    assert set_role(as_boss, project, manager, role).json == {"ok": True}
    assert roles_of(User.objects.get(pk=manager.pk), project) == role
    assert roles_of(manager, ProjectFactory()) == 0
    assert set_role(as_boss, project, manager, 0).ok
    assert roles_of(manager, project) == 0
    assert not ProjectUserObjectPermission.objects.filter(user=manager).exists()


@pytest.mark.parametrize("role", [-1, 32, "1", True, None])
def test_refuses_a_role(as_boss, project, manager, role):
    answer = set_role(as_boss, project, manager, role)
    assert answer.status == 400
    assert answer.message.startswith("role: ")


def test_unknown_manager(as_boss, project):
    answer = as_boss.post(f"/manager/set_role_for_project/{project.pk}", {"manager": 10**9, "role": 1})
    assert answer.status == 404


def test_needs_manage_access(project, manager):
    other = UserFactory()
    set_roles(manager=manager, project=project, roles=ALL_ROLES ^ Role.MANAGE_ACCESS)
    assert set_role(Api().login(manager), project, other, 31).status == 403
    assert set_role(Api(), project, other, 31).status == 401
    assert roles_of(other, project) == 0


def test_list_for_project(as_boss, boss, project, manager):
    set_roles(manager=manager, project=project, roles=Role.READ | Role.SECRET)
    content = as_boss.get(f"/manager/list_for_project/{project.pk}").content["managers"]
    assert [(one["manager"]["username"], one["role"]) for one in content] == [("boss", 31), (manager.username, 9)]


def by_group(project, roles, *managers):
    """Give the managers these roles through a group."""
    group = Group.objects.create(name=f"group {roles}")
    for manager in managers:
        manager.groups.add(group)
    for role in Role:
        if role in roles:
            assign_perm(f"projects.{CODENAMES[role]}", group, project)


def test_roles_through_groups(as_boss, boss, project, manager):
    other = UserFactory(username="zoe")
    by_group(project, Role.READ | Role.SECRET, manager, boss)
    by_group(project, Role.SECRET | Role.EDIT, manager)
    by_group(ProjectFactory(), ALL_ROLES, other)
    Group.objects.create(name="empty")
    set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
    content = as_boss.get(f"/manager/list_for_project/{project.pk}").content["managers"]
    expected = Role.READ | Role.SECRET | Role.EDIT | Role.MAINTENANCE
    assert [(one["manager"]["username"], one["role"]) for one in content] == [
        ("boss", 31),
        (manager.username, expected),
    ]
    assert dict(with_roles(managers_of(project), project))[manager] == roles_of(manager, project) == expected
    # What a group gives stays when the manager's own roles are revoked.
    set_role(as_boss, project, manager, 0)
    assert dict(with_roles(managers_of(project), project))[manager] == expected ^ Role.MAINTENANCE


def test_adding_a_manager_copies_no_role_of_its_group(project, manager, boss):
    by_group(project, Role.SECRET, manager)
    client = Client()
    client.force_login(boss)
    fields = {"manager": manager.username, "role": "2", "add": "on"}
    assert client.post(f"/projects/{project.pk}/permissions/roles/", fields).status_code == 302
    assert given_roles(manager, project) == Role.EDIT
    assert roles_of(User.objects.get(pk=manager.pk), project) == Role.EDIT | Role.SECRET


def test_list_for_a_hidden_project(manager):
    project = ProjectFactory(secluded=True)
    api = Api().login(manager)
    assert api.get(f"/manager/list_for_project/{project.pk}").status == 404
    set_roles(manager=manager, project=project, roles=Role.READ)
    assert api.get(f"/manager/list_for_project/{project.pk}").ok


def test_tracker_admin_has_every_role(tracker_admin, project):
    assert roles_of(tracker_admin, project) == ALL_ROLES
    assert list(Project.objects.with_role(tracker_admin, Role.SECRET)) == [project]


def test_inactive_manager_has_no_roles(boss, project):
    User.objects.filter(pk=boss.pk).update(is_active=False)
    boss.refresh_from_db()
    assert roles_of(boss, project) == 0


def test_deleting_leaves_no_orphans(boss, project, manager):
    set_roles(manager=manager, project=project, roles=ALL_ROLES)
    manager.delete()
    assert set(ProjectUserObjectPermission.objects.values_list("user", flat=True)) == {boss.pk}
    project.delete()
    assert not ProjectUserObjectPermission.objects.exists()


@pytest.mark.parametrize("kind", ["secret", "webhook_secret"])
def test_secrets(as_boss, project, kind):
    url = f"/project/{kind}/{project.pk}"
    assert as_boss.get(url).content == {kind: getattr(project, kind)}
    assert as_boss.post(url, {kind: "new one"}).ok
    assert getattr(Project.objects.get(), kind) == "new one"
    assert as_boss.get(url).content == {kind: "new one"}
    assert as_boss.post(url, {}).status == 400
    assert as_boss.post(url, {kind: 5}).status == 400


@pytest.mark.parametrize("kind", ["secret", "webhook_secret"])
def test_secrets_need_the_role(project, manager, worker, kind):
    url = f"/project/{kind}/{project.pk}"
    set_roles(manager=manager, project=project, roles=ALL_ROLES ^ Role.SECRET)
    for api, status in ((Api().login(manager), 403), (Api(), 401)):
        assert api.get(url).status == status
        assert api.post(url, {kind: "stolen"}).status == status
    assert Api().post(url, {kind: "stolen"}, worker=worker).status == 401
    assert getattr(Project.objects.get(), kind) == getattr(project, kind)
