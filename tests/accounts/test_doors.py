"""Who can guess at passwords, how often, and whom that locks out: by the API, on the pages, and in the admin."""

import io

import pytest
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import devices
from accounts.models import User
from accounts.passwords import LONGEST_PASSWORD
from accounts.services import set_active
from tests.client import Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]

PASSWORD = "correct horse"
MINE, THEIRS = "10.0.0.1", "10.0.0.2"


@pytest.fixture
def mia(db):
    return User.objects.create_user("mia", password=PASSWORD, is_staff=True)


class Door:
    """A way to log in: over the API, or with the form of the pages, to which the admin leads as well."""

    def __init__(self, kind: str, address: str = MINE) -> None:
        self.kind = kind
        self.client = Client(REMOTE_ADDR=address)

    def try_password(self, password: str = PASSWORD, username: str = "mia") -> str:
        fields = {"username": username, "password": password}
        if self.kind == "api":
            response = self.client.post("/login", fields, content_type="application/json")
            return {200: "in", 403: "wrong", 429: "limited"}[response.status_code]
        path = "/accounts/login/"
        if self.kind == "admin":
            path = self.client.get("/admin/login/")["Location"]
        response = self.client.post(path, fields)
        return {302: "in", 200: "wrong", 429: "limited"}[response.status_code]


@pytest.fixture(params=["api", "page", "admin"])
def kind(request):
    return request.param


def use_up(door, rate=20):
    assert [door.try_password("wrong horse") for _ in range(rate)] == ["wrong"] * rate
    assert door.try_password("wrong horse") == "limited"


def test_one_address_locks_out_nobody_else(mia, kind):
    use_up(Door(kind, THEIRS))
    assert Door(kind, MINE).try_password() == "in"


def test_addresses_of_one_ipv6_network_count_as_one(mia, kind, settings):
    settings.LOGIN_RATE = "2/h"
    for number in range(2):
        assert Door(kind, f"2001:db8::{number}").try_password("wrong horse") == "wrong"
    assert Door(kind, "2001:db8::ffff:ffff:ffff:ffff").try_password() == "limited"
    assert Door(kind, "2001:db8:0:1::1").try_password() == "in"


def test_a_name_is_limited_across_addresses(mia, kind, settings):
    settings.LOGIN_NAME_RATE = "2/h"
    for number in range(2):
        assert Door(kind, f"10.0.1.{number}").try_password("wrong horse") == "wrong"
    assert Door(kind).try_password() == "limited"
    assert Door(kind).try_password(username="nobody") == "wrong"


def test_the_doors_share_the_counters(mia, settings):
    settings.LOGIN_RATE = "3/h"
    assert [Door(kind).try_password("wrong horse") for kind in ("api", "page", "admin")] == ["wrong"] * 3
    assert [Door(kind).try_password() for kind in ("api", "page", "admin")] == ["limited"] * 3


def test_a_known_device_is_not_locked_out(mia, kind, settings):
    door = Door(kind)
    assert door.try_password() == "in"
    door.client.post("/logout")
    settings.LOGIN_NAME_RATE = "1/h"
    # By strangers at the same address, and anywhere else.
    use_up(Door(kind, THEIRS), 1)
    use_up(Door(kind), 0)
    assert door.try_password() == "in"


def test_a_session_is_not_locked_out(mia, kind, settings):
    door = Door(kind)
    door.client.force_login(mia)
    settings.LOGIN_NAME_RATE = "1/h"
    use_up(Door(kind, THEIRS), 1)
    fields = {"old_password": PASSWORD, "new_password1": "another horse", "new_password2": "another horse"}
    assert door.client.post("/accounts/", fields).status_code == 302
    mia.refresh_from_db()
    assert mia.check_password("another horse")


def test_a_device_has_a_limit_of_its_own(mia, kind, settings):
    settings.LOGIN_RATE = "3/h"
    thief, owner = Door(kind), Door(kind, THEIRS)
    for door in (thief, owner):
        assert door.try_password() == "in"
        door.client.post("/logout")
    use_up(thief, 3)
    assert owner.try_password() == "in"


def test_a_device_is_known_for_its_own_managers_only(mia, kind, settings):
    User.objects.create_user("eve", password=PASSWORD)
    door = Door(kind)
    assert door.try_password(username="eve") == "in"
    door.client.post("/logout")
    settings.LOGIN_NAME_RATE = "1/h"
    use_up(door, 1)
    assert door.try_password(username="eve") == "in"
    door.client.post("/logout")
    assert door.try_password() == "limited"


def test_a_device_remembers_several_managers(mia, settings):
    door = Door("api")
    names = ["mia", *(f"mia{number}" for number in range(devices.MANAGERS))]
    for name in names[1:]:
        User.objects.create_user(name, password=PASSWORD)
    for name in names:
        assert door.try_password(username=name) == "in"
    door.client.post("/logout")
    settings.LOGIN_NAME_RATE = "0/h"
    assert [door.try_password(username=name) for name in names] == ["limited", *["in"] * devices.MANAGERS]


def test_a_password_change_ends_what_a_device_may(mia, kind, settings):
    door, other = Door(kind), Door(kind, THEIRS)
    assert [door.try_password(), other.try_password()] == ["in", "in"]
    fields = {"old_password": PASSWORD, "new_password1": "another horse", "new_password2": "another horse"}
    assert door.client.post("/accounts/", fields).status_code == 302
    door.client.post("/logout")
    settings.LOGIN_NAME_RATE = "0/h"
    assert other.try_password("another horse") == "limited"
    # The device on which it was changed goes on.
    assert door.try_password("another horse") == "in"


def test_a_deactivation_ends_what_a_device_may(mia, tracker_admin, settings):
    door = Door("api")
    assert door.try_password() == "in"
    door.client.post("/logout")
    for active in (False, True):
        set_active(by=tracker_admin, manager_id=mia.pk, active=active)
    settings.LOGIN_NAME_RATE = "0/h"
    assert door.try_password() == "limited"


def test_registering_makes_a_device_known(settings):
    Client().post("/register", {"username": "first", "password": PASSWORD}, content_type="application/json")
    for path, content_type in (("/register", "application/json"), ("/accounts/register/", None)):
        door = Door("api")
        options = {"content_type": content_type} if content_type else {}
        door.client.post(path, {"username": f"mia{len(path)}", "password": PASSWORD}, **options)
        door.client.post("/logout")
        settings.LOGIN_NAME_RATE = "0/h"
        assert door.try_password(username=f"mia{len(path)}") == "in"


def test_the_cookie(mia, kind, settings):
    settings.SESSION_COOKIE_SECURE = True
    door = Door(kind)
    door.try_password()
    cookie = door.client.cookies[devices.COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)
    assert int(cookie["max-age"]) > 86_400 * 365
    # It opens nothing.
    stranger = Client()
    stranger.cookies[devices.COOKIE] = cookie.value
    assert not stranger.get("/account").json()["ok"]


@pytest.mark.parametrize("value", [["d", [[1, "x"]]], "x"])
@pytest.mark.parametrize("salt", ["accounts.devices", "another"])
def test_a_forged_cookie_makes_no_device(mia, value, salt, settings):
    settings.LOGIN_NAME_RATE = "0/h"
    key = settings.SECRET_KEY if salt == "another" else "another key"
    for cookie in ("", "x", "a:b:c", signing.dumps(value, key=key, salt=salt)):
        door = Door("api")
        door.client.cookies[devices.COOKIE] = cookie
        assert door.try_password() == "limited"


def test_names_are_told_apart_by_nothing_that_is_counted(mia, settings, django_assert_num_queries):
    """An unknown name and a known one cost the same queries."""
    settings.LOGIN_RATE = settings.LOGIN_NAME_RATE = ""
    for name in ("mia", "nobody"):
        with django_assert_num_queries(1):
            assert Door("api").try_password("wrong horse", username=name) == "wrong"


# --- The admin has no door of its own ---


@pytest.mark.parametrize("path", ["/admin/password_change/", "/admin/password_change/done/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_admin_leads_to_the_account_page(mia, path, method):
    client = Client()
    client.force_login(mia)
    fields = {"old_password": PASSWORD, "new_password1": "another horse", "new_password2": "another horse"}
    response = client.get(path) if method == "get" else client.post(path, fields)
    assert response["Location"] == "/accounts/"
    mia.refresh_from_db()
    assert mia.check_password(PASSWORD)


def test_guesses_of_a_session_are_counted_whatever_the_address(mia, settings):
    settings.LOGIN_RATE = "2/h"
    statuses = []
    for number in range(3):
        client = Client(REMOTE_ADDR=f"10.0.1.{number}")
        client.force_login(mia)
        statuses.append(client.post("/accounts/", {"old_password": "wrong horse"}).status_code)
    assert statuses == [200, 200, 429]


# --- The same length at every door ---

LONG, TOO_LONG = "correct horse battery " * 45 + "0123456789", "correct horse battery " * 45 + "0123456789x"


def test_the_limit():
    assert (len(LONG), len(TOO_LONG)) == (LONGEST_PASSWORD, LONGEST_PASSWORD + 1)


@pytest.mark.parametrize(("password", "is_fine"), [(LONG, True), (TOO_LONG, False)])
@pytest.mark.parametrize("way", ["api", "page", "change", "createsuperuser", "changepassword"])
def test_the_longest_password(way, password, is_fine, mia, monkeypatch):
    name = "grace" if way in ("api", "page", "createsuperuser") else "mia"
    client = Client()
    told = io.StringIO()
    match way:
        case "api":
            answer = Api().post("/register", {"username": name, "password": password})
            assert answer.ok is is_fine
        case "page":
            client.post("/accounts/register/", {"username": name, "password": password})
        case "change":
            client.force_login(mia)
            fields = {"old_password": PASSWORD, "new_password1": password, "new_password2": password}
            client.post("/accounts/", fields)
        case "createsuperuser":
            monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
            options = {"username": name, "email": "", "interactive": False, "stdout": told}
            if is_fine:
                call_command("createsuperuser", **options)
            else:
                with pytest.raises(CommandError, match="at most 1000"):
                    call_command("createsuperuser", **options)
        case "changepassword":
            monkeypatch.setattr("getpass.getpass", lambda prompt: password)
            if is_fine:
                call_command("changepassword", name, stdout=told, stderr=told)
            else:
                with pytest.raises(CommandError):
                    call_command("changepassword", name, stdout=told, stderr=told)
                assert "at most 1000" in told.getvalue()
    user = User.objects.filter(username=name).first()
    assert (user is not None and user.check_password(password)) is is_fine
    if is_fine:
        assert [Door(kind).try_password(password, name) for kind in ("api", "page", "admin")] == ["in"] * 3


def test_a_user_is_never_given_a_longer_one(mia):
    for give in (mia.set_password, lambda password: User.objects.create_user("grace", password=password)):
        with pytest.raises(ValidationError, match="at most 1000"):
            give(TOO_LONG)
