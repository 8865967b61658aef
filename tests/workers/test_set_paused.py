"""POST /worker/set_paused."""

import pytest

from tests.factories import TaskFactory
from workers.models import Worker

pytestmark = pytest.mark.django_db

URL = "/worker/set_paused"


@pytest.fixture
def admin_api(api, tracker_admin):
    return api.login(tracker_admin)


def paused(registration):
    return Worker.objects.get(pk=registration.worker.pk).paused


def test_it_works(admin_api, worker):
    answer = admin_api.post(URL, {"worker": worker.worker.pk, "paused": True})
    assert answer.status == 200
    assert answer.json == {"ok": True}
    assert paused(worker)
    assert admin_api.post(URL, {"worker": worker.worker.pk, "paused": False}).status == 200
    assert not paused(worker)


def test_api_prefix(admin_api, worker):
    assert admin_api.post(f"/api{URL}", {"worker": worker.worker.pk, "paused": True}).status == 200
    assert paused(worker)


def test_is_idempotent(admin_api, worker):
    for _ in range(2):
        assert admin_api.post(URL, {"worker": worker.worker.pk, "paused": True}).status == 200
    assert paused(worker)


def test_other_workers_are_not_paused(admin_api, worker, other_worker):
    admin_api.post(URL, {"worker": worker.worker.pk, "paused": True})
    assert not paused(other_worker)


def test_next_lease_is_refused(admin_api, worker, project):
    TaskFactory(project=project)
    admin_api.post(URL, {"worker": worker.worker.pk, "paused": True})
    answer = admin_api.get(f"/task/get/{project.pk}", worker=worker)
    assert answer.status == 403
    assert "paused" in answer.message
    admin_api.post(URL, {"worker": worker.worker.pk, "paused": False})
    assert admin_api.get(f"/task/get/{project.pk}", worker=worker).ok


@pytest.mark.parametrize("number", [10**9, 2**63 - 1])
def test_unknown_worker(admin_api, worker, number):
    answer = admin_api.post(URL, {"worker": number, "paused": True})
    assert answer.status == 400
    assert answer.message.startswith("worker: ")
    assert not paused(worker)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("worker", None),
        ("worker", 0),
        ("worker", -1),
        ("worker", "1"),
        ("worker", True),
        ("worker", 1.0),
        ("worker", 2**63),
        ("worker", [1]),
        ("paused", None),
        ("paused", 1),
        ("paused", 0),
        ("paused", "true"),
        ("paused", ""),
    ],
)
def test_refuses_a_field(admin_api, worker, field, value):
    answer = admin_api.post(URL, {"worker": worker.worker.pk, "paused": True} | {field: value})
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert not paused(worker)


def test_needs_a_session(api, worker):
    assert api.post(URL, {"worker": worker.worker.pk, "paused": True}).status == 401
    assert not paused(worker)


def test_workers_may_not(api, worker):
    assert api.post(URL, {"worker": worker.worker.pk, "paused": True}, worker=worker).status == 401
    assert not paused(worker)


def test_plain_managers_may_not(api, manager, worker):
    answer = api.login(manager).post(URL, {"worker": worker.worker.pk, "paused": True})
    assert answer.status == 403
    assert "tracker admin" in answer.message
    assert not paused(worker)


def test_managers_do_not_learn_which_workers_exist(api, manager, worker):
    api.login(manager)
    known, unknown, malformed = (
        api.post(URL, body).response.content
        for body in ({"worker": worker.worker.pk, "paused": True}, {"worker": 10**9, "paused": True}, b"{")
    )
    assert known == unknown == malformed


def test_staff_is_not_enough(api, manager, worker):
    manager.is_staff = True
    manager.save()
    assert api.login(manager).post(URL, {"worker": worker.worker.pk, "paused": True}).status == 403


def test_demoted_admin_may_not(admin_api, tracker_admin, worker):
    tracker_admin.is_superuser = False
    tracker_admin.save()
    assert admin_api.post(URL, {"worker": worker.worker.pk, "paused": True}).status == 403
    assert not paused(worker)
