"""While the database is away, every page answers 503 with a page that needs no database."""

import re
import socket
from html import unescape

import psycopg2
import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.test import Client

from accounts.models import User
from accounts.session_store import SessionStore
from tests.client import Api
from tests.factories import ProjectFactory, UserFactory
from tests.webui.admin.conftest import LISTS
from tests.webui.pages.test_access import TABLE
from tracker import db
from webui.errors import AGAIN_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse"
HTML = {"Accept": "text/html"}


@pytest.fixture
def away():
    """Ends the connection, and lets new ones fail: nothing listens at that port."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    before = dict(connection.settings_dict)

    def end():
        connection.close()
        connection.settings_dict |= {"HOST": "127.0.0.1", "PORT": str(port)}

    yield end
    connection.close()
    connection.settings_dict |= before


def browser(user=None):
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def check_page(response, *, is_form=False):
    assert response.status_code == 503, response.content
    assert response["Content-Type"].startswith("text/html")
    assert "no-store" in response["Cache-Control"]
    assert int(response["Retry-After"]) > 0
    assert "default-src 'none'" in response["Content-Security-Policy"]
    page = unescape(response.content.decode())
    assert "The database does not answer at the moment" in page
    refresh = re.search(r'<meta http-equiv="refresh" content="(\d+)">', page)
    # Without an address: the one that was opened.
    assert (refresh is None) if is_form else (int(refresh[1]) == AGAIN_SECONDS)
    assert ("is not known" in page) is is_form
    return page


PAGES = [address for address, posted, _ in TABLE if posted is None]
FORMS = [(address, posted) for address, posted, _ in TABLE if posted is not None]
ADMIN_PAGES = ("", *(f"{path}/" for path in LISTS), *(f"{path}/1/change/" for path in LISTS), "accounts/user/")


def address_of(address):
    return "/" + re.sub(r"\b[PWMTF]\b", "1", address)


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_every_page(away, is_signed_in):
    client = browser(UserFactory(is_superuser=True, is_staff=True) if is_signed_in else None)
    away()
    for address in PAGES:
        response = client.get(address_of(address))
        if is_signed_in or "P" in address or address in ("projects/", "workers/"):
            check_page(response)
        else:
            # The form to sign in, and what leads to it, need no database.
            assert response.status_code in (200, 302), address


def test_every_page_of_the_admin(away, tracker_admin):
    client = browser(tracker_admin)
    away()
    for path in ADMIN_PAGES:
        check_page(client.get(f"/admin/{path}"))
        check_page(client.post(f"/admin/{path}", {"action": "pause"}), is_form=True)


def test_every_form(away, tracker_admin):
    client = browser(tracker_admin)
    away()
    for address, posted in FORMS:
        response = client.post(address_of(address), posted)
        if address == "accounts/language/":
            assert response.status_code == 302
            del client.cookies["django_language"]
        else:
            check_page(response, is_form=True)


def test_a_form_leads_back_to_its_page(away, tracker_admin):
    client = browser(tracker_admin)
    away()
    for referer, target in (
        ("http://testserver/projects/7/edit/?a=1", "/projects/7/edit/?a=1"),
        ("https://evil.example/", "/projects/"),
        ("http://[", "/projects/"),
        ("", "/projects/"),
    ):
        page = check_page(client.post("/projects/7/edit/", {"name": "x"}, headers={"Referer": referer}), is_form=True)
        assert f'<a href="{target}">Go back</a>' in page


def test_in_french(away, tracker_admin):
    client = browser(tracker_admin)
    client.cookies["django_language"] = "fr"
    away()
    page = client.get("/projects/").content.decode()
    assert '<html lang="fr">' in page
    assert "does not answer" not in page


def test_unknown_addresses_and_refused_forms(away, tracker_admin):
    """Their own error pages would name the manager."""
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(tracker_admin)
    away()
    check_page(client.get("/projects/nowhere/", headers=HTML))
    check_page(client.post("/projects/new/", {}), is_form=True)


def test_the_root_and_static_files(away, tracker_admin):
    client = browser(tracker_admin)
    away()
    assert client.get("/", headers=HTML)["Location"] == "/projects/"
    assert client.get("/").json()["ok"]
    response = client.get("/static/page.js")
    assert response.status_code == 200
    assert b"use strict" in b"".join(response.streaming_content)
    response.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/project/list", None),
        ("get", "/account", None),
        ("get", "/worker/stats", None),
        ("post", "/logout", {}),
        ("post", "/login", {"username": "mia", "password": PASSWORD}),
        ("post", "/register", {"username": "mia", "password": PASSWORD}),
        ("post", "/project/create", {"name": "x"}),
        ("post", "/worker/create", {"alias": "x"}),
        ("post", "/git/receivehook", {"repository": {"full_name": "a/b"}}),
    ],
)
def test_the_api(away, method, path, body, tracker_admin):
    api = Api(raise_request_exception=False).login(tracker_admin)
    away()
    answer = getattr(api, method)(path, *([] if body is None else [body]))
    assert answer.status == 503
    assert answer.message.startswith("The database does not answer")
    assert int(answer.headers["Retry-After"]) > 0


def test_it_works_again_at_once(tracker_admin, away):
    client = browser(tracker_admin)
    before = dict(connection.settings_dict)
    away()
    check_page(client.get("/projects/"))
    connection.settings_dict |= before
    assert client.get("/projects/").status_code == 200


@pytest.mark.parametrize("path", ["/login", "/accounts/login/", "/accounts/"])
def test_away_while_the_session_is_stored(path, monkeypatch):
    """The session middleware stores it after the view has answered."""
    user = User.objects.create_user("mia", password=PASSWORD)
    client = browser(user if path == "/accounts/" else None)

    def fail(*_args, **_options):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.save", fail)
    fields = {"username": "mia", "password": PASSWORD}
    fields |= {"old_password": PASSWORD, "new_password1": "another horse", "new_password2": "another horse"}
    response = client.post(path, fields, **({"content_type": "application/json"} if path == "/login" else {}))
    assert response.status_code == 503
    if path == "/login":
        assert response.json()["ok"] is False
    else:
        check_page(response, is_form=True)


def test_a_session_that_can_not_be_stored_was_not_deleted(away):
    """Django takes every failure for a deleted session, which is answered with 400."""
    session = SessionStore()
    session.create()
    session["x"] = 1
    away()
    with pytest.raises(OperationalError):
        session.save()


def test_a_deleted_session_still_is_one():
    session = SessionStore()
    session.create()
    SessionStore().delete(session.session_key)
    with pytest.raises(UpdateError):
        session.save()


def bare(cause):
    try:
        raise DatabaseError("error with status PGRES_TUPLES_OK and no message from the libpq") from cause
    except DatabaseError as error:
        return error


@pytest.mark.parametrize(
    ("error", "is_away"),
    [
        (OperationalError("x"), True),
        (InterfaceError("connection already closed"), True),
        (psycopg2.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg2.InterfaceError("cursor already closed"), True),
        (bare(psycopg2.DatabaseError("x")), True),
        (psycopg2.DatabaseError("x"), True),
        (DatabaseError("Save with update_fields did not affect any rows."), False),
        (bare(psycopg2.ProgrammingError("x")), False),
        (psycopg2.ProgrammingError("x"), False),
        (ValueError("x"), False),
        (None, False),
    ],
)
def test_what_counts_as_away(error, is_away):
    assert db.is_away(error) is is_away


def test_other_errors_are_still_500(monkeypatch):
    ProjectFactory()
    monkeypatch.setattr("tasks.queries.overview.overviews", lambda *_: 1 / 0)
    response = browser().get("/projects/")
    assert response.status_code == 500
    assert "refresh" not in response.content.decode()
