"""GET /worker/get/:id."""

import pytest

pytestmark = pytest.mark.django_db


def test_it_works(api, worker):
    answer = api.get(f"/worker/get/{worker.worker.pk}")
    assert answer.status == 200
    assert answer.content == {
        "worker": {
            "id": worker.worker.pk,
            "created": int(worker.worker.created.timestamp()),
            "alias": "worker",
            "paused": False,
        }
    }


def test_api_prefix(api, worker):
    assert api.get(f"/api/worker/get/{worker.worker.pk}").content["worker"]["id"] == worker.worker.pk


def test_paused(api, worker):
    worker.worker.paused = True
    worker.worker.save()
    assert api.get(f"/worker/get/{worker.worker.pk}").content["worker"]["paused"] is True


def test_never_the_secret(api, worker):
    for caller in (None, worker):
        answer = api.get(f"/worker/get/{worker.worker.pk}", worker=caller)
        assert set(answer.content["worker"]) == {"id", "created", "alias", "paused"}
        assert worker.secret.encode() not in answer.response.content
        assert worker.worker.secret_digest.hex().encode() not in answer.response.content


def test_wrong_credentials_do_not_matter(api, worker):
    answer = api.get(f"/worker/get/{worker.worker.pk}", headers={"X-Worker-ID": "x", "X-Secret": "wrong"})
    assert answer.status == 200


@pytest.mark.parametrize("number", [0, 10**9, 2**63 - 1])
def test_unknown_worker(api, worker, number):
    answer = api.get(f"/worker/get/{number}")
    assert answer.status == 404
    assert answer.message == f"There is no worker {number}."


def test_deleted_worker(api, worker):
    number = worker.worker.pk
    worker.worker.delete()
    assert api.get(f"/worker/get/{number}").status == 404
