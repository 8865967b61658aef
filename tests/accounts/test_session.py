"""Authentication of managers by the session, and cross-site requests."""

import pytest
from django.contrib.sessions.models import Session
from django.utils.crypto import salted_hmac
from guardian.shortcuts import assign_perm

from accounts.models import User
from accounts.services import set_active
from tests.client import Api
from tests.factories import ProjectFactory, UserFactory
from workers.models import Worker

pytestmark = pytest.mark.django_db

HERE = "http://testserver"
PANEL = "https://panel.example"


@pytest.fixture
def admin_api(api, tracker_admin):
    return api.login(tracker_admin)


@pytest.fixture
def pause(admin_api, worker):
    """Pauses `worker` as a tracker admin, with the given headers."""

    def pause(**headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return admin_api.post("/worker/set_paused", {"worker": worker.worker.pk, "paused": True}, headers=sent)

    return pause


def is_paused(registration):
    return Worker.objects.get(pk=registration.worker.pk).paused


def test_it_works(pause, worker):
    assert pause().status == 200
    assert is_paused(worker)


OWN = [
    # A script with a cookie jar.
    {},
    {"Referer": "https://evil.example/"},
    # The tracker's own pages, in current and older browsers.
    {"Origin": HERE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    {"Origin": HERE},
    {"Sec-Fetch-Site": "same-origin"},
    # The same behind a proxy that passes on another Host, or another scheme.
    {"Origin": "https://testserver:8443", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://tracker.example", "Sec-Fetch-Site": "same-origin"},
    # The address bar, a bookmark.
    {"Sec-Fetch-Site": "none"},
]

FOREIGN = [
    # A form and a fetch() on another site.
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    # The same without Sec-Fetch headers: in an older browser, or over plain HTTP.
    {"Origin": "https://evil.example"},
    {"Origin": "http://evil.example"},
    # A sandboxed frame, a local file, a redirect through other sites.
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    # Another host under the same domain, another port of this host.
    {"Origin": "http://evil.testserver", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.testserver"},
    {"Origin": f"{HERE}:8000", "Sec-Fetch-Site": "same-site"},
    {"Origin": f"{HERE}:8000"},
    # Another scheme of this host: whoever is on the network can serve its plain pages.
    {"Origin": "https://testserver"},
    {"Origin": "ftp://testserver"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "none"},
    # Without an Origin.
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    # Names that resemble the tracker's.
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://eviltestserver"},
    {"Origin": "http://testserver@evil.example"},
    {"Origin": "testserver"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", OWN)
def test_same_origin_requests(pause, worker, headers):
    assert pause(**headers).status == 200
    assert is_paused(worker)


@pytest.mark.parametrize("headers", FOREIGN)
def test_cross_site_requests(pause, worker, headers):
    answer = pause(**headers)
    assert answer.status == 403
    assert "another site" in answer.message
    assert "TRUSTED_ORIGINS" in answer.message
    assert not is_paused(worker)


@pytest.mark.parametrize("headers", OWN)
def test_logs_for_same_origin_requests(api, manager, headers):
    assert api.login(manager).post("/logs", {}, headers=headers).status == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_logs_for_cross_site_requests(api, manager, headers):
    answer = api.login(manager).post("/logs", {}, headers=headers)
    assert answer.status == 403
    assert "content" not in answer.json


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b", "http://[x]"])
def test_malformed_origin(pause, worker, origin):
    assert pause(Origin=origin).status == 403
    assert not is_paused(worker)


def test_the_refusal_names_both_addresses(pause):
    answer = pause(Origin="https://testserver:8443")
    for text in ("https://testserver:8443", "http://testserver.", "BEHIND_TLS", "TRUSTED_ORIGINS", "Host"):
        assert text in answer.message


def test_behind_tls_the_origin_is_https(pause, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    secure = {"Host": "testserver", "X-Forwarded-Proto": "https"}
    assert pause(**secure, Origin="https://testserver").status == 200
    assert pause(**secure, Origin="http://testserver").status == 403


def test_host_is_part_of_the_comparison(pause, settings):
    settings.ALLOWED_HOSTS = ["tracker.example", "testserver"]
    own = {"Host": "tracker.example:3010", "Origin": "http://tracker.example:3010"}
    assert pause(**own).status == 200
    assert pause(**own | {"Origin": "http://tracker.example"}).status == 403
    assert pause(**own | {"Origin": HERE}).status == 403


def test_trusted_origin(pause, worker, settings):
    settings.CSRF_TRUSTED_ORIGINS = [PANEL]
    assert pause(Origin=PANEL).status == 200
    assert is_paused(worker)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_trusted_origin_with_sec_fetch_site(pause, settings, site):
    settings.CSRF_TRUSTED_ORIGINS = [PANEL]
    assert pause(**{"Origin": PANEL, "Sec-Fetch-Site": site}).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://panel.example",
        f"{PANEL}.evil.example",
        f"{PANEL}:8443",
        "https://sub.panel.example",
        "null",
    ],
)
def test_origin_that_only_resembles_the_trusted_one(pause, worker, settings, origin):
    settings.CSRF_TRUSTED_ORIGINS = [PANEL]
    assert pause(Origin=origin).status == 403
    assert not is_paused(worker)


def test_trust_needs_the_origin(pause, settings):
    settings.CSRF_TRUSTED_ORIGINS = [PANEL]
    assert pause(**{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert pause(**{"Sec-Fetch-Site": "cross-site", "Referer": f"{PANEL}/"}).status == 403


def test_no_origin_is_trusted_by_default(settings):
    assert settings.CSRF_TRUSTED_ORIGINS == []


def test_other_sites_may_link(api, manager):
    hidden = ProjectFactory(secluded=True)
    assign_perm("projects.read_project", manager, hidden)
    answer = api.login(manager).get(f"/project/get/{hidden.pk}", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200


def test_needs_no_csrf_token(tracker_admin, worker):
    strict = Api()
    strict.client.handler.enforce_csrf_checks = True
    strict.login(tracker_admin)
    assert strict.post("/worker/set_paused", {"worker": worker.worker.pk, "paused": True}).status == 200


@pytest.mark.parametrize("path", ["/worker/set_paused", "/logs", "/api/worker/set_paused", "/api/logs"])
@pytest.mark.parametrize("headers", [{}, {"Cookie": "sessionid=wrong"}, {"Cookie": "sessionid="}])
def test_no_session(api, path, headers):
    answer = api.post(path, {}, headers=headers)
    assert answer.status == 401
    assert "Log in" in answer.message


@pytest.mark.parametrize("path", ["/worker/set_paused", "/logs"])
def test_inactive_manager(path):
    user = UserFactory(is_superuser=True)
    caller = Api().login(user)
    assert caller.post(path, {}).status in (200, 400)
    user.is_active = False
    user.save()
    assert caller.post(path, {}).status == 401


def test_an_activated_manager_has_to_log_in_again(tracker_admin):
    user = UserFactory(is_staff=True)
    before = Api().login(user)
    assert before.post("/logs", {}).status == 200
    set_active(by=tracker_admin, manager_id=user.pk, active=False)
    assert before.post("/logs", {}).status == 401
    set_active(by=tracker_admin, manager_id=user.pk, active=True)
    for path in ("/account", "/projects/new/", "/admin/"):
        response = before.client.get(path)
        assert response.status_code == 302 or not response.json()["ok"], path
    user.refresh_from_db()
    assert Api().login(user).post("/logs", {}).status == 200


def test_a_session_that_the_deactivation_did_not_see_is_not_revived(tracker_admin):
    """Kept by a browser that sent nothing while the manager was inactive, or deactivated by hand in the database."""
    user = UserFactory()
    before = Api().login(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    set_active(by=tracker_admin, manager_id=user.pk, active=True)
    assert before.post("/logs", {}).status == 401


def test_sessions_of_before_there_was_an_epoch_stay_valid():
    user = UserFactory(password="md5$x$y")
    expected = salted_hmac(
        "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash", user.password, algorithm="sha256"
    ).hexdigest()
    assert user.get_session_auth_hash() == expected


@pytest.mark.parametrize("path", ["/worker/set_paused", "/logs"])
def test_deleted_manager(path):
    user = UserFactory(is_superuser=True)
    caller = Api().login(user)
    user.delete()
    assert caller.post(path, {}).status == 401


def test_deleted_session(admin_api):
    assert admin_api.post("/logs").status == 200
    Session.objects.all().delete()
    assert admin_api.post("/logs").status == 401


def test_session_after_a_password_change(admin_api, tracker_admin):
    tracker_admin.set_password("another one entirely")
    tracker_admin.save()
    assert admin_api.post("/logs").status == 401


def test_worker_credentials_do_not_count(api, worker):
    assert api.post("/logs", {}, worker=worker).status == 401


def test_cookies(settings):
    assert settings.CSRF_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_SAMESITE == "Lax"
    assert settings.SESSION_COOKIE_SECURE is settings.BEHIND_TLS is False


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        ("https://a.example.org", True),
        ("https://a.b.example.org", True),
        ("http://a.example.org", False),
        ("https://example.org.evil.test", False),
        ("https://evilexample.org", False),
    ],
)
def test_trusted_origin_with_a_wildcard(pause, worker, settings, origin, trusted):
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.org"]
    assert pause(Origin=origin).status == (200 if trusted else 403)
