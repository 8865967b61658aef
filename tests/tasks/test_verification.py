"""Tasks that several workers have to agree on."""

import pytest

from tasks.models import ClosedEntry, ClosedTask, Task
from tests.factories import TaskFactory, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def verify(api, project):
    """One worker leases the next task and releases it as OK with a hash."""

    def verify(worker, verification):
        task = api.get(f"/task/get/{project.pk}", worker=worker).content["task"]
        body = {"task_id": task["id"], "result": 0, "verification": verification}
        return api.post("/task/release", body, worker=worker)

    return verify


def test_it_works(verify, worker, other_worker, project):
    task = TaskFactory(project=project, verification_count=2)
    answer = verify(worker, 7)
    assert answer.ok
    assert answer.content == {"updated": False}
    assert "1 more" in answer.message
    task.refresh_from_db()
    assert (task.voters, task.votes, task.assignee, task.lease) == ([worker.worker.pk], [7], None, None)
    assert not ClosedEntry.objects.exists()

    assert verify(other_worker, 7).content == {"updated": True}
    closed = ClosedTask.objects.get()
    assert (closed.verification, closed.worker, closed.voters, closed.votes) == (
        7,
        other_worker.worker,
        [worker.worker.pk],
        [7],
    )
    assert ClosedEntry.objects.get().worker == other_worker.worker


@pytest.mark.parametrize("count", [0, 1])
def test_one_worker_is_enough(verify, worker, project, count):
    TaskFactory(project=project, verification_count=count)
    assert verify(worker, 7).content == {"updated": True}


def test_same_worker_does_not_get_the_task_twice(api, verify, worker, project):
    TaskFactory(project=project, verification_count=2)
    verify(worker, 7)
    answer = api.get(f"/task/get/{project.pk}", worker=worker)
    assert answer.message == "No task available"
    assert answer.content["reason"] == "verified_all"


def test_disagreement_keeps_it_open(verify, worker, other_worker, project):
    TaskFactory(project=project, verification_count=2)
    verify(worker, 7)
    answer = verify(other_worker, 8)
    assert answer.content == {"updated": False}
    assert "1 more" in answer.message
    assert Task.objects.get().votes == [7, 8]
    assert verify(register("third"), 8).content == {"updated": True}
    assert ClosedTask.objects.get().verification == 8


def test_three_have_to_agree(verify, project):
    TaskFactory(project=project, verification_count=3)
    outcomes = [verify(register(), verification).content["updated"] for verification in (1, 2, 1, 2, 2)]
    assert outcomes == [False, False, False, False, True]
    assert ClosedTask.objects.get().verification == 2


def test_hashes_are_64_bits(verify, worker, other_worker, project):
    TaskFactory(project=project, verification_count=2)
    verify(worker, 2**64 - 1)
    assert verify(other_worker, -1).content["updated"]


def test_neighbouring_large_hashes_differ(verify, worker, other_worker, project):
    TaskFactory(project=project, verification_count=2)
    verify(worker, 2**53)
    assert not verify(other_worker, 2**53 + 1).content["updated"]


def test_zero_is_a_hash_like_any_other(verify, worker, other_worker, project):
    TaskFactory(project=project, verification_count=2)
    verify(worker, 0)
    assert verify(other_worker, 0).content["updated"]
