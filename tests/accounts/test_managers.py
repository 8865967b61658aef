"""GET /manager/list, POST /manager/promote/:id and /manager/demote/:id."""

import pytest

from accounts.models import User
from tests.client import Api
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_admin(tracker_admin):
    return Api().login(tracker_admin)


@pytest.fixture
def as_manager(manager):
    return Api().login(manager)


def change(api, verb, manager):
    return api.client.post(f"/manager/{verb}/{manager.pk}")


def test_list(as_manager, manager):
    UserFactory(username="zoe", is_superuser=True)
    UserFactory(username="gone", is_active=False)
    content = as_manager.get("/manager/list").content["managers"]
    assert [(one["username"], one["tracker_admin"]) for one in content] == [(manager.username, False), ("zoe", True)]
    assert set(content[0]) == {"id", "username", "tracker_admin", "register_time"}


def test_list_needs_a_manager(api, worker):
    assert api.get("/manager/list").status == 401
    assert api.get("/manager/list", worker=worker).status == 401


def test_promote_and_demote(as_admin, manager):
    response = change(as_admin, "promote", manager)
    assert (response.status_code, response.content) == (204, b"")
    assert User.objects.get(pk=manager.pk).is_superuser
    assert change(as_admin, "demote", manager).status_code == 204
    assert not User.objects.get(pk=manager.pk).is_superuser


@pytest.mark.parametrize("verb", ["promote", "demote"])
def test_admins_can_not_change_themselves(as_admin, tracker_admin, verb):
    assert change(as_admin, verb, tracker_admin).status_code == 403
    assert User.objects.get(pk=tracker_admin.pk).is_superuser


@pytest.mark.parametrize("verb", ["promote", "demote"])
def test_needs_a_tracker_admin(api, as_manager, manager, verb):
    other = UserFactory(is_superuser=verb == "demote")
    assert change(as_manager, verb, other).status_code == 403
    assert change(api, verb, other).status_code == 401
    assert User.objects.get(pk=other.pk).is_superuser is (verb == "demote")


@pytest.mark.parametrize("verb", ["promote", "demote"])
def test_unknown_manager(as_admin, verb):
    assert as_admin.post(f"/manager/{verb}/999999999").status == 404


@pytest.mark.parametrize("verb", ["promote", "demote"])
def test_get_is_not_allowed(as_admin, manager, verb):
    assert as_admin.get(f"/manager/{verb}/{manager.pk}").status == 405


def test_a_demoted_admin_loses_the_permission_at_once(as_admin, tracker_admin, manager):
    User.objects.filter(pk=tracker_admin.pk).update(is_superuser=False)
    assert change(as_admin, "promote", manager).status_code == 403
