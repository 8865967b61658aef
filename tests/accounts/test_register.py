"""POST /register."""

from functools import partial

import pytest
from django.conf import global_settings

from accounts import services
from accounts.models import User
from tests.client import Api
from tests.factories import UserFactory
from tracker import settings as deployed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]

URL = "/register"
BODY = {"username": "mia", "password": "correct horse"}


def test_it_works(api):
    UserFactory()
    answer = api.post(URL, BODY)
    assert answer.status == 200
    user = User.objects.get(username="mia")
    assert answer.content == {
        "manager": {
            "id": user.pk,
            "username": "mia",
            "tracker_admin": False,
            "register_time": int(user.date_joined.timestamp()),
        }
    }
    assert user.is_staff
    assert user.check_password("correct horse")
    assert "correct" not in user.password
    assert api.get("/account").content["manager"]["id"] == user.pk


def test_the_first_account_becomes_tracker_admin(api):
    assert api.post(URL, BODY).content["manager"]["tracker_admin"] is True
    assert Api().post(URL, BODY | {"username": "second"}).content["manager"]["tracker_admin"] is False


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"username": None}, "username: is missing"),
        ({"username": "ab"}, "username: must be at least 3"),
        ({"username": "a" * 17}, "username: must be at most 16"),
        ({"username": "a b c"}, "username: "),
        ({"username": "<b>x</b>"}, "username: "),
        ({"username": "mi\u200ba"}, "username: must be one line of visible characters"),
        ({"username": "mіa"}, "username: must not mix letters of different scripts"),
        ({"username": 12345}, "username: must be text"),
        ({"password": None}, "password: is missing"),
        ({"password": "1234567"}, "password: must be at least 8"),
        ({"password": "password"}, "password: "),
        ({"password": "9481726354"}, "password: "),
        ({"password": "x" * 1001}, "password: must be at most 1000"),
        ({"username": "longname1", "password": "longname1"}, "password: "),
    ],
)
def test_refuses(api, body, problem):
    answer = api.post(URL, BODY | body)
    assert answer.status == 400
    assert answer.message.startswith(problem)
    assert not User.objects.exists()
    assert not api.get("/account").ok


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        *(("mia", "mia"), ("mia", "Mia"), ("MIA", "mia"), ("boss1", "bｏss1"), ("bｏss1", "boss1")),
        *(("rené", "rene\u0301"), ("René", "RENE\u0301"), ("groß", "GROSS"), ("poca", "роса")),
    ],
)
def test_taken_name(api, taken, name):
    UserFactory(username=taken)
    answer = api.post(URL, BODY | {"username": name})
    assert answer.status == 409
    assert "username" in answer.message
    assert User.objects.count() == 1


def test_closed(api, settings):
    settings.REGISTRATION_OPEN = False
    answer = api.post(URL, BODY)
    assert answer.status == 403
    assert not User.objects.exists()


def test_cross_site_requests_are_refused(api):
    answer = api.post(URL, BODY, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert not User.objects.exists()


def test_limit_per_address(api, settings):
    settings.REGISTER_RATE = "1/d"
    assert api.post(URL, BODY).status == 200
    answer = api.post(URL, BODY | {"username": "another"})
    assert answer.status == 429
    assert answer.json["rate_limit_delay"] > 0
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_ten_first_registrations_leave_one_tracker_admin(racing):
    calls = [partial(services.register, username=f"racer{n}", password="correct horse") for n in range(10)]
    assert not [outcome for outcome in racing(calls) if isinstance(outcome, Exception)]
    assert User.objects.count() == 10
    assert User.objects.filter(is_superuser=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_racing_registrations_of_one_name(racing):
    outcomes = racing([partial(services.register, username="racer", password="correct horse")] * 5)
    assert sum(isinstance(outcome, services.NameTaken) for outcome in outcomes) == 4
    assert User.objects.count() == 1


@pytest.mark.parametrize(("name", "stored"), [("bｏss1", "boss1"), ("Rene\u0301e", "Renée"), ("é" * 16, "é" * 16)])
def test_name_is_stored_in_unicodes_composed_form(api, name, stored):
    assert api.post(URL, BODY | {"username": name}).content["manager"]["username"] == stored
    assert User.objects.get().username == stored


def test_decomposed_name_has_the_length_that_people_see(api):
    assert api.post(URL, BODY | {"username": "e\u0301" * 16}).content["manager"]["username"] == "é" * 16


def test_only_a_slow_hash_of_the_password_is_stored(api, db, settings):
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS
    assert api.post("/register", {"username": "mia", "password": "correct horse 9"}).ok
    stored = User.objects.get().password
    assert stored.startswith("pbkdf2_sha256$")
    assert "correct horse" not in stored


def test_the_tracker_uses_djangos_hashers():
    # The tests' own, quicker hasher is set in a fixture.
    assert "PASSWORD_HASHERS" not in vars(deployed)
