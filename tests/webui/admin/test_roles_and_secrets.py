"""Projects in the admin: managers' roles, and secrets."""

import pytest

from accounts.models import User
from projects.access import roles_of
from projects.models import Project
from projects.roles import ALL_ROLES, Role
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

# --- Roles ---


def roles_url(project):
    return f"/admin/projects/project/{project.pk}/roles/"


@pytest.mark.parametrize("roles", [Role.READ, Role.EDIT | Role.SECRET, ALL_ROLES, Role(0)])
def test_set_roles(scoped, project, roles):
    other = UserFactory()
    boxes = {str(role.name): "on" for role in Role if role in roles}
    answer = scoped.client.post(roles_url(project), {"manager": other.username, **boxes})
    assert answer.status_code == 302
    assert roles_of(User.objects.get(pk=other.pk), project) == roles
    page = scoped.client.get(f"/admin/projects/project/{project.pk}/change/")
    assert (other in dict(page.context["managers"])) == bool(roles)


def test_setting_roles_requires_manage_access(with_roles, project):
    other = UserFactory()
    browser = with_roles(ALL_ROLES ^ Role.MANAGE_ACCESS)
    answer = browser.client.post(roles_url(project), {"manager": other.username, "READ": "on"})
    assert "requires the role MANAGE_ACCESS" in browser.say(answer)
    assert roles_of(other, project) == 0


def test_roles_of_a_project_out_of_scope_are_not_set(scoped, foreign, manager):
    assert scoped.client.post(roles_url(foreign), {"manager": manager.username, "READ": "on"}).status_code == 404
    assert roles_of(manager, foreign) == 0


def test_roles_for_an_unknown_manager(scoped, project):
    answer = scoped.client.post(roles_url(project), {"manager": "no one\0", "READ": "on"})
    assert "no manager with this name" in scoped.say(answer)


def test_revoking_ones_own_roles_redirects_to_the_list(scoped, project, manager):
    answer = scoped.client.post(roles_url(project), {"manager": manager.username})
    assert answer["Location"] == "/admin/projects/project/"


# --- Secrets ---


@pytest.fixture
def secretive(project):
    Project.objects.filter(pk=project.pk).update(secret="hunter2 of workers", webhook_secret="hunter2 of git")
    return project


def secrets(project):
    return f"/admin/projects/project/{project.pk}/secrets/"


def test_pages_contain_no_secrets_until_asked_for(scoped, secretive):
    pages = (
        "projects/project/",
        f"projects/project/{secretive.pk}/change/",
        f"projects/project/{secretive.pk}/secrets/",
    )
    for page in pages:
        source = scoped.get(page)
        assert "hunter2 of workers" not in source
        assert "hunter2 of git" not in source


def test_show_the_webhook_secret(scoped, secretive):
    response = scoped.client.post(secrets(secretive), {"do": "show_webhook"})
    source = response.content.decode()
    assert "hunter2 of git" in source
    assert "hunter2 of workers" not in source
    assert "no-store" in response["Cache-Control"]
    assert "/git/receivehook" in source


def test_rotate_the_webhook_secret(scoped, secretive):
    source = scoped.client.post(secrets(secretive), {"do": "rotate_webhook"}).content.decode()
    new = Project.objects.get(pk=secretive.pk).webhook_secret
    assert new != "hunter2 of git"
    assert len(new) >= 40
    assert new in source


def test_show_and_save_the_workers_secret(scoped, secretive):
    source = scoped.client.post(secrets(secretive), {"do": "show_workers"}).content.decode()
    assert "hunter2 of workers" in source
    assert "hunter2 of git" not in source
    scoped.client.post(secrets(secretive), {"do": "save_workers", "secret": " new one\n"})
    assert Project.objects.get(pk=secretive.pk).secret == " new one\n"


@pytest.mark.parametrize("do", ["show_webhook", "rotate_webhook", "show_workers", "save_workers"])
def test_secrets_require_their_role(with_roles, secretive, do):
    browser = with_roles(ALL_ROLES ^ Role.SECRET)
    response = browser.client.post(secrets(secretive), {"do": do, "secret": "stolen"})
    assert response.status_code == 403
    assert b"hunter2" not in response.content
    browser.get(f"projects/project/{secretive.pk}/secrets/", status=403)
    secretive.refresh_from_db()
    assert (secretive.secret, secretive.webhook_secret) == ("hunter2 of workers", "hunter2 of git")
    assert "/secrets/" not in browser.get(f"projects/project/{secretive.pk}/change/")


def test_secrets_out_of_scope_are_not_found(scoped, foreign):
    assert scoped.client.post(secrets(foreign), {"do": "show_webhook"}).status_code == 404


def test_get_does_not_rotate_a_secret(scoped, secretive):
    scoped.get(f"projects/project/{secretive.pk}/secrets/?do=rotate_webhook")
    assert Project.objects.get(pk=secretive.pk).webhook_secret == "hunter2 of git"
