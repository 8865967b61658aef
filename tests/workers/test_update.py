"""POST /worker/update."""

import pytest

from workers.models import Worker

pytestmark = pytest.mark.django_db

URL = "/worker/update"


def alias_of(registration):
    return Worker.objects.get(pk=registration.worker.pk).alias


def test_it_works(api, worker):
    answer = api.post(URL, {"alias": "another alias"}, worker=worker)
    assert answer.status == 200
    assert answer.json == {"ok": True}
    assert alias_of(worker) == "another alias"


def test_api_prefix(api, worker):
    assert api.post(f"/api{URL}", {"alias": "b"}, worker=worker).status == 200
    assert alias_of(worker) == "b"


def test_renames_nobody_else(api, worker, other_worker):
    api.post(URL, {"alias": "b", "id": other_worker.worker.pk, "worker": other_worker.worker.pk}, worker=worker)
    assert (alias_of(worker), alias_of(other_worker)) == ("b", "other")


def test_changes_nothing_else(api, worker):
    row = Worker.objects.values().get()
    api.post(URL, {"alias": "b", "paused": True, "created": 1, "secret": "x"}, worker=worker)
    assert Worker.objects.values().get() == row | {"alias": "b"}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"alias": null}', b'{"alias": ""}'])
def test_default_alias(api, worker, body):
    assert api.post(URL, body, worker=worker).status == 200
    assert alias_of(worker) == "default_alias"


@pytest.mark.parametrize("alias", ["unassigned", "UnAssigned", " unassigned "])
def test_reserved_alias(api, worker, alias):
    answer = api.post(URL, {"alias": alias}, worker=worker)
    assert answer.status == 403
    assert answer.message.startswith("alias: ")
    assert alias_of(worker) == "worker"


@pytest.mark.parametrize("alias", [5, False, [], {}, "a\0b", "x" * 256, " ", "\u2066a", "gаmma"])
def test_refuses_an_alias(api, worker, alias):
    answer = api.post(URL, {"alias": alias}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith("alias: ")
    assert alias_of(worker) == "worker"


def test_paused_worker_may_rename_itself(api, worker):
    Worker.objects.update(paused=True)
    assert api.post(URL, {"alias": "b"}, worker=worker).status == 200
    assert Worker.objects.get().paused


def test_needs_identity(api, worker):
    assert api.post(URL, {"alias": "b"}).status == 401
    assert alias_of(worker) == "worker"


def test_managers_are_refused(api, tracker_admin):
    assert api.login(tracker_admin).post(URL, {"alias": "b"}).status == 401


def test_stored_alias_stays_valid(api, worker):
    Worker.objects.filter(pk=worker.worker.pk).update(alias="a\u202e\nb")
    assert api.post(URL, {"alias": "a\u202e\nb"}, worker=worker).status == 200
    assert alias_of(worker) == "a\u202e\nb"
