"""Signing in and out, registering, one's own account, and /managers/."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import User
from tests.client import Api
from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]

PASSWORD = "correct horse battery"


@pytest.fixture
def ada():
    user = UserFactory(username="ada", is_staff=True)
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(client, password=PASSWORD, **fields):
    return client.post("/accounts/login/", {"username": "ada", "password": password} | fields)


def test_sign_in_and_out(visitor, ada):
    assert sign_in(visitor)["Location"] == "/projects/"
    assert "Signed in as ada" in visitor.get("/projects/").content.decode()
    assert visitor.post("/accounts/logout/")["Location"] == "/projects/"
    assert "Signed in" not in visitor.get("/projects/").content.decode()
    assert not Session.objects.exists()


def test_the_same_message_for_a_wrong_name_and_a_wrong_password(visitor, ada):
    wrong = sign_in(visitor, "wrong horse")
    unknown = sign_in(visitor, username="nobody")
    assert wrong.status_code == unknown.status_code == 200
    assert wrong.context["form"].errors == unknown.context["form"].errors
    assert "username or the password is wrong" in wrong.content.decode()
    assert PASSWORD not in wrong.content.decode()


def test_attempts_count_together_with_those_over_the_api(visitor, ada, settings):
    settings.LOGIN_RATE = "2/h"
    sign_in(visitor, "wrong horse")
    Api().post("/login", {"username": "ada", "password": "wrong horse"})
    assert "Too many requests" in sign_in(visitor).content.decode()
    assert Api().post("/login", {"username": "ada", "password": PASSWORD}).status == 429


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/projects/7/", "/projects/7/"),
        ("https://evil.example/", "/projects/"),
        ("//evil.example", "/projects/"),
        ("javascript:alert(1)", "/projects/"),
        ("", "/projects/"),
    ],
)
def test_after_login_redirects_only_within_this_site(visitor, ada, target, expected):
    assert sign_in(visitor, next=target)["Location"] == expected


def test_login_changes_the_session_key(visitor, ada):
    sign_in(visitor)
    first = visitor.cookies["sessionid"].value
    # Signing in again under a session key that an attacker may know (session fixation).
    visitor.post("/login", {"username": "ada", "password": PASSWORD}, content_type="application/json")
    assert visitor.cookies["sessionid"].value != first
    assert not Session.objects.filter(session_key=first).exists()


def test_pages_that_require_login_redirect_to_the_form(visitor, ada):
    response = visitor.get("/logs/?level=3")
    assert response["Location"] == "/accounts/login/?next=%2Flogs%2F%3Flevel%3D3"
    assert visitor.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/accounts/login/")


def test_a_button_after_the_session_has_ended_leads_back_to_its_page(visitor, project):
    page = f"http://testserver/projects/{project.pk}/?range=week"
    response = visitor.post(f"/projects/{project.pk}/pause/", headers={"Referer": page})
    assert response["Location"] == f"/accounts/login/?next=%2Fprojects%2F{project.pk}%2F%3Frange%3Dweek"
    elsewhere = visitor.post(f"/projects/{project.pk}/pause/", headers={"Referer": "https://evil.example/"})
    assert elsewhere["Location"] == "/accounts/login/?next=%2Fprojects%2F"


def test_opening_the_address_of_a_button(visitor, project):
    response = visitor.get(f"/projects/{project.pk}/pause/")
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert "only accepts the form of a page" in response.content.decode()


def test_pages_are_not_cached_when_signed_in(visitor, ada):
    assert "Cache-Control" not in visitor.get("/projects/")
    sign_in(visitor)
    assert visitor.get("/projects/")["Cache-Control"] == "no-store"


def test_a_form_that_is_too_large_is_not_read(visitor, settings):
    settings.MAX_BODY_BYTES = 1000
    response = visitor.post("/accounts/login/", {"username": "x" * 2000})
    assert response.status_code == 413
    assert "<html" in response.content.decode()


def test_a_form_that_is_out_of_date(ada):
    client = Client(enforce_csrf_checks=True)
    response = sign_in(client)
    assert response.status_code == 403
    assert "This form is out of date" in response.content.decode()


@pytest.mark.parametrize("cookie", ["a\0" * 16, '"aaaaaaaaaaaa\\000"', "x"])
def test_an_invalid_session_cookie(visitor, cookie):
    visitor.cookies["sessionid"] = cookie
    assert visitor.get("/projects/").status_code == 200


def test_search_ignores_nul(visitor):
    assert visitor.get("/projects/?q=%00").status_code == 200
    assert visitor.get("/workers/?q=%00").status_code == 200


def test_register(visitor, settings):
    response = visitor.post("/accounts/register/", {"username": "ada", "password": PASSWORD}, follow=True)
    user = User.objects.get()
    assert (user.is_superuser, user.is_staff) == (True, True)
    assert "you are a tracker admin" in response.content.decode()
    visitor.post("/accounts/logout/")
    visitor.post("/accounts/register/", {"username": "grace", "password": PASSWORD})
    assert not User.objects.get(username="grace").is_superuser


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"username": "ADA"}, "username"),
        ({"username": "ab"}, "username"),
        ({"username": "a b c"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "password"}, "password"),
        ({"password": "12345678901"}, "password"),
    ],
)
def test_register_refused(visitor, ada, fields, field):
    response = visitor.post("/accounts/register/", {"username": "grace", "password": PASSWORD} | fields)
    assert set(response.context["form"].errors) == {field}
    assert User.objects.count() == 1


def test_registration_can_be_closed(visitor, settings):
    settings.REGISTRATION_OPEN = False
    assert visitor.get("/accounts/register/").status_code == 403
    visitor.post("/accounts/register/", {"username": "ada", "password": PASSWORD})
    assert not User.objects.exists()
    assert "/accounts/register/" not in visitor.get("/accounts/login/").content.decode()


def test_registrations_are_limited(visitor, settings):
    settings.REGISTER_RATE = "1/h"
    visitor.post("/accounts/register/", {"username": "ada", "password": PASSWORD})
    visitor.post("/accounts/logout/")
    response = visitor.post("/accounts/register/", {"username": "grace", "password": PASSWORD})
    assert "Too many requests" in response.content.decode()
    assert User.objects.count() == 1


def test_change_the_password(visitor, ada, client):
    sign_in(visitor)
    sign_in(client)
    fields = {"old_password": PASSWORD, "new_password1": "a new long secret", "new_password2": "a new long secret"}
    assert "new_password2" in visitor.post("/accounts/", fields | {"new_password2": "x"}).context["form"].errors
    assert "old_password" in visitor.post("/accounts/", fields | {"old_password": "x"}).context["form"].errors
    assert visitor.post("/accounts/", fields)["Location"] == "/accounts/"
    # This session continues; the other one has ended.
    assert visitor.get("/accounts/").status_code == 200
    assert client.get("/accounts/").status_code == 302
    assert sign_in(client, "a new long secret").status_code == 302


def test_a_password_longer_than_the_login_form_accepts_is_refused(visitor, ada):
    sign_in(visitor)
    long = "long secret " * 100
    fields = {"old_password": PASSWORD, "new_password1": long, "new_password2": long}
    assert visitor.post("/accounts/", fields).context["form"].errors
    assert sign_in(visitor).status_code == 302


def test_guesses_at_the_old_password_are_counted(visitor, ada, settings):
    sign_in(visitor)
    settings.LOGIN_RATE = "1/h"
    visitor.post("/accounts/", {"old_password": "x"})
    response = visitor.post("/accounts/", {"old_password": "x"})
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0


def test_promote_and_demote(admin, tracker_admin):
    other = UserFactory(username="grace")
    admin.post(f"/managers/{other.pk}/promote/")
    other.refresh_from_db()
    assert other.is_superuser
    admin.post(f"/managers/{other.pk}/demote/")
    other.refresh_from_db()
    assert not other.is_superuser
    assert admin.post(f"/managers/{tracker_admin.pk}/demote/").status_code == 403
    assert admin.post("/managers/4711/promote/").status_code == 404


def test_language(visitor):
    response = visitor.post("/accounts/language/", {"language": "fr", "next": "/projects/"})
    assert response["Location"] == "/projects/"
    assert '<html lang="fr">' in visitor.get("/projects/").content.decode()
    # The API speaks only English.
    assert "Content-Language" not in visitor.get("/project/list", headers={"Accept-Language": "fr"})
