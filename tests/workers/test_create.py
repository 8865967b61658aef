"""POST /worker/create."""

import base64
import time

import pytest

from tests.client import Api
from workers.models import Worker
from workers.services import digest

pytestmark = pytest.mark.django_db

URL = "/worker/create"


def test_it_works(api):
    answer = api.post(URL, {"alias": "some alias"})
    assert answer.status == 200
    assert set(answer.json) == {"ok", "content"}
    created = answer.content["worker"]
    assert set(created) == {"id", "created", "alias", "secret", "paused"}
    assert (created["alias"], created["paused"]) == ("some alias", False)
    assert type(created["created"]) is int
    assert abs(created["created"] - time.time()) < 60
    worker = Worker.objects.get()
    assert (worker.pk, worker.alias, worker.paused) == (created["id"], "some alias", False)
    assert int(worker.created.timestamp()) == created["created"]


def test_api_prefix(api):
    assert api.post(f"/api{URL}", {"alias": "a"}).status == 200
    assert Worker.objects.count() == 1


def test_secret_is_32_random_bytes(api):
    secrets = {api.post(URL, {"alias": "a"}).content["worker"]["secret"] for _ in range(10)}
    assert len(secrets) == 10
    for secret in secrets:
        assert len(base64.b64decode(secret, validate=True)) == 32


def test_only_a_digest_is_stored(api):
    secret = api.post(URL, {"alias": "a"}).content["worker"]["secret"]
    row = Worker.objects.values().get()
    assert bytes(row.pop("secret_digest")) == digest(secret)
    assert secret not in str(row)
    assert len(digest(secret)) == 32


def test_new_worker_is_accepted_at_once(api):
    created = api.post(URL, {"alias": "a"}).content["worker"]
    headers = {"X-Worker-ID": str(created["id"]), "X-Secret": created["secret"]}
    assert api.post("/worker/update", {"alias": "b"}, headers=headers).status == 200


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"alias": null}', b'{"alias": ""}'])
def test_default_alias(api, body):
    assert api.post(URL, body).content["worker"]["alias"] == "default_alias"
    assert Worker.objects.get().alias == "default_alias"


def test_alias_is_stored_as_sent(api):
    alias = " \u00a0<b>Übung</b> \U0001f680'; -- %s ｈ₂o "
    assert api.post(URL, {"alias": alias}).content["worker"]["alias"] == alias
    assert Worker.objects.get().alias == alias


def test_aliases_need_not_be_unique(api):
    first, second = (api.post(URL, {"alias": "a"}).content["worker"] for _ in range(2))
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    "alias", ["unassigned", "Unassigned", "UNASSIGNED", " unassigned", "unassigned\n", "ｕnassigned"]
)
def test_reserved_alias(api, alias):
    answer = api.post(URL, {"alias": alias})
    assert answer.status == 403
    assert answer.message == 'alias: "unassigned" is reserved; choose another.'
    assert not Worker.objects.exists()


def test_alias_that_only_contains_the_reserved_one(api):
    assert api.post(URL, {"alias": "unassigned2"}).status == 200


@pytest.mark.parametrize(
    ("alias", "problem"),
    [
        (5, "must be text"),
        (True, "must be text, not true"),
        (["a"], "not an array"),
        ({}, "not an object"),
        ("a\0b", "U+0000"),
        ("x" * 256, "at most 255 characters"),
        (" ", "must not consist of blanks; leave it out to be called default_alias"),
        ("\u3000\t", "must not consist of blanks"),
        ("\u200b", "must be one line of visible characters"),
        ("a\u202eb", "must be one line of visible characters"),
        ("a\x1b[2Jb", "must be one line of visible characters"),
        ("a\nb", "must be one line of visible characters"),
        ("wоrker", "must not mix letters of different scripts"),
    ],
)
def test_refuses_an_alias(api, alias, problem):
    answer = api.post(URL, {"alias": alias})
    assert answer.status == 400
    assert answer.message.startswith("alias: ")
    assert problem in answer.message
    assert not Worker.objects.exists()


def test_longest_alias(api):
    alias = "\U0001f680" * 255
    assert api.post(URL, {"alias": alias}).content["worker"]["alias"] == alias


def test_client_cannot_choose_more(api):
    answer = api.post(URL, {"alias": "a", "id": 77, "secret": "mine", "paused": True, "created": 1})
    created = answer.content["worker"]
    assert created["secret"] != "mine"
    assert (created["id"] == 77, created["paused"]) == (False, False)


@pytest.mark.django_db(transaction=True)
def test_at_once(racing):
    answers = racing([lambda: Api().post(URL, {"alias": "a"})] * 8)
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.content["worker"]["id"] for answer in answers}) == 8


@pytest.mark.usefixtures("counters")
def test_limit_per_day(settings):
    """Per network, where IPv6 is concerned, and beside the one per hour."""
    settings.WORKER_CREATE_DAILY_RATE = "2/d"
    for address in ("2001:db8::1", "2001:db8::2"):
        assert Api(address=address).post("/worker/create", {}).status == 200
    answer = Api(address="2001:db8::3").post("/worker/create", {})
    assert (answer.status, Worker.objects.count()) == (429, 2)
    assert answer.json["rate_limit_delay"] > 0
    assert Api(address="2001:db8:0:1::1").post("/worker/create", {}).status == 200
