"""POST /login, GET and POST /logout, GET /account."""

import pytest
from django.contrib.sessions.models import Session

from accounts.models import User
from tests.client import Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]

PASSWORD = "correct horse"


@pytest.fixture
def mia(db):
    return User.objects.create_user("mia", password=PASSWORD)


def login(api, username="mia", password=PASSWORD, **options):
    return api.post("/login", {"username": username, "password": password}, **options)


def test_it_works(api, mia):
    answer = login(api)
    assert answer.status == 200
    expected = {
        "id": mia.pk,
        "username": "mia",
        "tracker_admin": False,
        "register_time": int(mia.date_joined.timestamp()),
    }
    assert answer.content == {"manager": expected}
    assert api.get("/account").json == {"ok": True, "content": {"logged_in": True, "manager": expected}}
    cookie = answer.response.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert Session.objects.count() == 1


def test_a_password_that_is_too_long_is_not_hashed(api, mia, monkeypatch):
    monkeypatch.setattr(User, "check_password", lambda *_: pytest.fail("hashed"))
    monkeypatch.setattr(User, "set_password", lambda *_: pytest.fail("hashed"))
    for name in ("mia", "nobody"):
        answer = login(api, username=name, password="x" * 1001)
        assert answer.status == 400
        assert answer.message.startswith("password: ")


def test_wrong_name_and_wrong_password_get_the_same_response(api, mia):
    wrong = [login(api, password="wrong password"), login(api, username="nobody")]
    assert [answer.status for answer in wrong] == [403, 403]
    assert wrong[0].json == wrong[1].json
    assert not api.get("/account").ok


def test_wrong_name_is_hashed_as_well(api, mia, monkeypatch):
    hashed = []
    monkeypatch.setattr(User, "set_password", lambda self, password: hashed.append(password))
    login(api, username="nobody")
    assert hashed == [PASSWORD]


@pytest.mark.parametrize(
    ("stored", "typed"),
    [("mia", "MIA"), ("Boss1", "boss1"), ("boss1", "bｏss1"), ("rené", "rene\u0301"), ("groß", "GROSS")],
)
def test_name_as_people_read_it(api, db, stored, typed):
    User.objects.create_user(stored, password=PASSWORD)
    assert login(api, username=typed).content["manager"]["username"] == stored


def test_names_that_were_alike_before_log_in_by_their_exact_name(api, mia):
    # As the migration leaves them.
    other = User.objects.create_user("other", password="another horse")
    User.objects.filter(pk=other.pk).update(username="ｍia", username_key=f"mia\n{other.pk}")
    assert login(api, username="ｍia", password="another horse").content["manager"]["id"] == other.pk
    assert login(api, username="MIA").content["manager"]["id"] == mia.pk
    other.refresh_from_db()
    other.set_password("third horse")
    other.save()
    assert login(api, username="ｍia", password="third horse").status == 200


def test_manager_of_a_version_without_keys_logs_in_by_the_exact_name(api, mia):
    User.objects.update(username_key=None)
    assert login(api).status == 200
    User.objects.get().save()
    assert login(api, username="MIA").status == 403


def test_inactive(api, mia):
    User.objects.update(is_active=False)
    assert login(api).status == 403


@pytest.mark.parametrize("body", [{}, {"username": "mia"}, {"username": "", "password": "x"}, {"username": 5}])
def test_refuses(api, mia, body):
    assert api.post("/login", body).status == 400


def test_session_is_renewed(api, mia):
    api.client.session.save()
    api.client.session["kept"] = True
    login(api)
    first = api.client.cookies["sessionid"].value
    login(api)
    assert api.client.cookies["sessionid"].value != first
    assert Session.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_logout(api, mia, method):
    login(api)
    response = getattr(api.client, method)("/logout")
    assert (response.status_code, response.content) == (204, b"")
    assert api.get("/account").json["content"] == {"logged_in": False}
    assert not Session.objects.exists()
    assert getattr(api.client, method)("/logout").status_code == 204


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_can_not_log_out(api, mia, method, site):
    login(api)
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert getattr(api, method)("/logout", headers=headers).status == 403
    assert api.get("/account").ok


# What a browser without Sec-Fetch-Site sends when a link is followed, as over plain HTTP.
LINK = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (LINK | {"Referer": "http://evil.example/"}, 403),
        (LINK | {"Referer": "https://testserver/"}, 403),
        (LINK | {"Referer": "http://["}, 403),
        # The other site's page keeps its address to itself.
        (LINK, 403),
        ({"Referer": "http://evil.example/"}, 403),
        (LINK | {"Referer": "http://testserver/projects/"}, 204),
        (LINK | {"Sec-Fetch-Site": "same-origin"}, 204),
        # The address bar.
        (LINK | {"Sec-Fetch-Site": "none"}, 204),
        # A program.
        ({"Accept": "*/*"}, 204),
    ],
)
def test_links_on_other_sites_do_not_log_out(api, mia, headers, status):
    login(api)
    assert api.client.get("/logout", headers=headers).status_code == status
    assert api.get("/account").ok is (status == 403)


def test_other_sites_can_not_log_in(api, mia):
    assert login(api, headers={"Origin": "https://evil.example"}).status == 403
    assert not api.get("/account").ok


def test_limit_per_name(mia, settings):
    settings.LOGIN_NAME_RATE = "2/d"
    for address in ("10.0.0.1", "10.0.0.2"):
        assert login(Api(address=address), password="wrong password").status == 403
    answer = login(Api(address="10.0.0.3"))
    assert answer.status == 429
    assert 0 < answer.json["rate_limit_delay"] <= 86400
    for spelling in ("MIA", "ｍia"):
        assert login(Api(address="10.0.0.3"), username=spelling).status == 429
    assert login(Api(address="10.0.0.4"), username="other").status == 403


def test_limit_per_address(mia, settings):
    settings.LOGIN_RATE = "2/d"
    for name in ("one", "two"):
        assert login(Api(address="10.0.0.1"), username=name).status == 403
    assert login(Api(address="10.0.0.1"), username="three").status == 429
    assert login(Api(address="10.0.0.2"), username="three").status == 403


def test_account_without_a_login(api):
    answer = api.get("/account")
    assert answer.status == 200
    assert not answer.ok
    assert answer.content == {"logged_in": False}
