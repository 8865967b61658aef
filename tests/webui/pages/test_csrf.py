"""Where the pages' and the admin's forms may come from, and what a refused one is told."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.conf import settings as its_settings
from django.test import Client

pytestmark = pytest.mark.django_db

FORMS = ("/accounts/language/", "/admin/projects/project/add/")
HERE = "http://testserver"


@pytest.fixture(params=FORMS)
def send(request, tracker_admin):
    """Sends a form as a browser does: with the token of the page, and the given headers."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(tracker_admin)
    page = client.get("/projects/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]

    def send(headers, *, token=token, secure=False):
        # One of the forms chooses French.
        client.cookies.pop("django_language", None)
        fields = {"csrfmiddlewaretoken": token, "language": "fr", "next": "/projects/"}
        return client.post(request.param, fields, headers=headers, secure=secure)

    return send


OWN = [
    {},
    {"Origin": HERE},
    {"Sec-Fetch-Site": "same-origin"},
    # Behind a proxy that passes on Host without the port, or does not say that the browser uses HTTPS.
    {"Sec-Fetch-Site": "same-origin", "Origin": f"{HERE}:8443"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://testserver"},
]
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://testserver"},
    {"Origin": f"{HERE}:8443"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": f"{HERE}:8443", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", OWN)
def test_own_forms(send, headers):
    assert send(headers).status_code in (200, 302)


@pytest.mark.parametrize("headers", FOREIGN)
def test_forms_from_elsewhere(send, headers):
    response = send(headers)
    assert response.status_code == 403
    told = unescape(response.content.decode())
    assert headers["Origin"] in told
    for text in (f"from {HERE}.", "proxy_set_header Host $http_host", "TRUSTED_ORIGINS", "BEHIND_TLS"):
        assert text in told
    assert "out of date" not in told


@pytest.mark.parametrize("headers", OWN)
def test_the_token_is_required_in_any_case(send, headers):
    response = send(headers, token="x")
    assert response.status_code == 403
    assert "out of date" in response.content.decode()


def test_over_https(send):
    """Without Origin, Django looks at the Referer there."""
    secure = {"Host": "testserver"}
    assert send(secure | {"Sec-Fetch-Site": "same-origin"}, secure=True).status_code in (200, 302)
    assert send(secure | {"Referer": "https://testserver/projects/"}, secure=True).status_code in (200, 302)
    for referer in ({}, {"Referer": "https://evil.example/page"}, {"Referer": "http://testserver/"}):
        response = send(secure | referer, secure=True)
        assert response.status_code == 403
        told = unescape(response.content.decode())
        assert "from https://testserver." in told
        assert (referer["Referer"].rpartition("/")[0] if referer else "not named") in told


def test_a_trusted_origin(send, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://panel.example"]
    assert send({"Origin": "https://panel.example"}).status_code in (200, 302)


def test_the_cookie_is_kept_from_scripts(client):
    response = client.get("/accounts/login/")
    assert response.cookies["csrftoken"]["httponly"]


def test_no_script_of_ours_reads_cookies():
    for script in (Path(its_settings.BASE_DIR) / "webui" / "assets").glob("*.js"):
        assert "document.cookie" not in script.read_text(), script.name


def test_hsts_behind_tls(settings):
    settings.SECURE_HSTS_SECONDS = 604_800
    response = Client().get("/projects/", secure=True, headers={"Host": "testserver"})
    assert response["Strict-Transport-Security"] == "max-age=604800"
    assert "Strict-Transport-Security" not in Client().get("/projects/")


@pytest.mark.parametrize(
    "path", ["/projects/P/secrets/", "/projects/P/numbers/", "/accounts/", "/admin/projects/project/P/secrets/"]
)
def test_what_a_manager_sees_is_not_stored(path, tracker_admin, project):
    client = Client()
    client.force_login(tracker_admin)
    path = path.replace("/P/", f"/{project.pk}/")
    assert "no-store" in client.get(path)["Cache-Control"]
    for fields in ({"do": "show"}, {"do": "show_webhook"}, {"do": "rotate_webhook"}, {"do": "show_workers"}):
        if "secrets" in path:
            assert "no-store" in client.post(path, fields)["Cache-Control"]


def test_a_new_secret_of_a_worker_is_not_stored(tracker_admin, worker):
    client = Client()
    client.force_login(tracker_admin)
    path = f"/admin/workers/worker/{worker.worker.pk}/act/rotate_secret/"
    response = client.post(path, {"confirmed": "yes"})
    assert response.context["secret"] in response.content.decode()
    assert "no-store" in response["Cache-Control"]


def test_the_answer_that_logs_in_is_not_stored(db):
    fields = {"username": "first", "password": "correct horse"}
    assert "no-store" in Client().post("/register", fields, content_type="application/json")["Cache-Control"]
    assert "no-store" in Client().post("/accounts/login/", fields)["Cache-Control"]
