"""POST /worker/rotate_secret."""

import base64

import pytest

from tests.client import Api
from workers.models import Worker
from workers.services import Registration, digest

pytestmark = pytest.mark.django_db

URL = "/worker/rotate_secret"


def is_known(api, registration):
    return api.post("/worker/update", {"alias": "seen"}, worker=registration).status == 200


def test_it_works(api, worker):
    answer = api.post(URL, worker=worker)
    assert answer.status == 200
    rotated = answer.content["worker"]
    assert set(rotated) == {"id", "created", "alias", "secret", "paused"}
    assert (rotated["id"], rotated["alias"], rotated["paused"]) == (worker.worker.pk, "worker", False)
    assert rotated["created"] == int(worker.worker.created.timestamp())
    assert len(base64.b64decode(rotated["secret"], validate=True)) == 32
    assert bytes(Worker.objects.get().secret_digest) == digest(rotated["secret"])


def test_api_prefix(api, worker):
    assert api.post(f"/api{URL}", worker=worker).status == 200


def test_old_secret_stops_working_at_once(api, worker):
    rotated = Registration(worker.worker, api.post(URL, worker=worker).content["worker"]["secret"])
    assert rotated.secret != worker.secret
    assert not is_known(api, worker)
    assert api.post(URL, worker=worker).status == 401
    assert is_known(api, rotated)


def test_rotates_again(api, worker):
    second = Registration(worker.worker, api.post(URL, worker=worker).content["worker"]["secret"])
    third = Registration(worker.worker, api.post(URL, worker=second).content["worker"]["secret"])
    assert [is_known(api, one) for one in (worker, second, third)] == [False, False, True]


def test_other_workers_keep_their_secrets(api, worker, other_worker):
    api.post(URL, {"worker": other_worker.worker.pk, "id": other_worker.worker.pk}, worker=worker)
    assert is_known(api, other_worker)


def test_changes_nothing_else(api, worker):
    Worker.objects.update(paused=True)
    row = Worker.objects.values("id", "alias", "paused", "created").get()
    assert api.post(URL, worker=worker).content["worker"]["paused"] is True
    assert Worker.objects.values("id", "alias", "paused", "created").get() == row


def test_client_cannot_choose_the_secret(api, worker):
    assert api.post(URL, {"secret": "mine"}, worker=worker).content["worker"]["secret"] != "mine"


def test_needs_identity(api, worker):
    assert api.post(URL).status == 401
    wrong = Registration(worker.worker, "wrong")
    assert api.post(URL, worker=wrong).status == 401
    assert is_known(api, worker)


@pytest.mark.django_db(transaction=True)
def test_at_once(api, worker, racing):
    answers = racing([lambda: Api().post(URL, worker=worker)] * 4)
    secrets = [answer.content["worker"]["secret"] for answer in answers if answer.status == 200]
    assert secrets
    known = [secret for secret in secrets if is_known(api, Registration(worker.worker, secret))]
    assert len(known) == 1
