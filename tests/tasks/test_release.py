"""POST /task/release."""

import uuid

import pytest

from tasks.models import ClosedEntry, ClosedTask, Task
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, expire

pytestmark = pytest.mark.django_db

URL = "/task/release"
OK, FAIL, SKIP = 0, 1, 2
NO_LEASE = {"assignee_id": None, "lease": None, "assign_time": None, "lease_expires": None}


@pytest.fixture
def lease(api, project):
    """Leases the project's next task for a worker and returns it as in the response."""

    def lease(worker, project=project):
        return api.get(f"/task/get/{project.pk}", worker=worker).content["task"]

    return lease


def stored_state():
    return Task.objects.values("status", "retries", *NO_LEASE).get()


def assert_refused(answer):
    assert answer.status == 200
    assert answer.ok
    assert answer.content == {"updated": False}
    assert "does not hold" in answer.message


def test_it_works(api, worker, project, lease):
    TaskFactory(project=project, recipe="test recipe", priority=4, hash64=-9)
    task = lease(worker)
    assigned = Task.objects.get().assign_time
    answer = api.post(URL, {"task_id": task["id"], "result": OK, "verification": -32315129}, worker=worker)
    assert answer.status == 200
    assert answer.json == {"ok": True, "content": {"updated": True}}
    assert not Task.objects.exists()
    closed = ClosedTask.objects.get()
    assert (closed.pk, closed.project, closed.worker) == (task["id"], project, worker.worker)
    assert (closed.recipe, closed.priority, closed.hash64) == ("test recipe", 4, -9)
    assert (closed.verification, closed.voters, closed.votes) == (-32315129, [], [])
    assert closed.assign_time == assigned
    assert ClosedEntry.objects.values("project", "worker", "count").get() == {
        "project": project.pk,
        "worker": worker.worker.pk,
        "count": 1,
    }


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("task_id", None, "is missing"),
        ("task_id", "7", "whole number"),
        ("task_id", 0, "whole number"),
        ("task_id", True, "not true"),
        ("result", None, "is missing"),
        ("result", 3, "from 0 to 2"),
        ("result", -1, "from 0 to 2"),
        ("result", "OK", "from 0 to 2"),
        ("result", False, "not false"),
        ("verification", "x", "whole number"),
        ("verification", 0.5, "whole number"),
        ("lease", 7, "must be text"),
        ("lease", "x", "/task/get"),
    ],
)
def test_refuses_an_invalid_field(api, worker, project, lease, field, value, problem):
    TaskFactory(project=project)
    body = {"task_id": lease(worker)["id"], "result": OK} | {field: value}
    answer = api.post(URL, body, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert problem in answer.message
    assert Task.objects.get().assignee == worker.worker


def test_unknown_task(api, worker):
    assert_refused(api.post(URL, {"task_id": 2**62, "result": OK}, worker=worker))


def test_needs_identity(api):
    assert api.post(URL, {"task_id": 1, "result": OK}).status == 401


@pytest.mark.parametrize("result", [OK, FAIL, SKIP])
def test_only_the_holder_may(api, worker, other_worker, project, lease, result):
    TaskFactory(project=project)
    task = lease(worker)
    before = Task.objects.values().get()
    assert_refused(api.post(URL, {"task_id": task["id"], "result": result}, worker=other_worker))
    assert Task.objects.values().get() == before


@pytest.mark.parametrize("result", [OK, FAIL, SKIP])
def test_task_that_is_not_leased(api, worker, project, result):
    task = TaskFactory(project=project)
    assert_refused(api.post(URL, {"task_id": task.pk, "result": result}, worker=worker))
    assert Task.objects.get().retries == 0


def test_a_second_release_finds_nothing(api, worker, project, lease):
    TaskFactory(project=project)
    body = {"task_id": lease(worker)["id"], "result": OK}
    assert api.post(URL, body, worker=worker).content["updated"]
    assert_refused(api.post(URL, body, worker=worker))
    assert ClosedEntry.objects.count() == 1


def test_paused_worker_may_release(api, worker, project, lease):
    TaskFactory(project=project)
    task = lease(worker)
    worker.worker.paused = True
    worker.worker.save()
    assert api.post(URL, {"task_id": task["id"], "result": OK}, worker=worker).content["updated"]


def test_expired_lease_counts_until_somebody_takes_the_task(api, worker, project, lease):
    TaskFactory(project=project)
    task = lease(worker)
    expire(task["id"])
    assert api.post(URL, {"task_id": task["id"], "result": OK}, worker=worker).content["updated"]


def test_fail_counts_a_retry_and_returns_the_task_to_the_queue(api, worker, project, lease):
    TaskFactory(project=project, max_retries=3)
    for retries in (1, 2):
        task = lease(worker)
        answer = api.post(URL, {"task_id": task["id"], "result": FAIL}, worker=worker)
        assert answer.json == {"ok": True, "content": {"updated": True}}
        assert stored_state() == {"status": 1, "retries": retries, **NO_LEASE}
    api.post(URL, {"task_id": lease(worker)["id"], "result": FAIL}, worker=worker)
    assert stored_state() == {"status": 2, "retries": 3, **NO_LEASE}
    assert not ClosedEntry.objects.exists()


@pytest.mark.parametrize("max_retries", [0, 1])
def test_fails_at_once_without_retries(api, worker, project, lease, max_retries):
    TaskFactory(project=project, max_retries=max_retries)
    api.post(URL, {"task_id": lease(worker)["id"], "result": FAIL}, worker=worker)
    assert Task.objects.get().status == Task.Status.FAILED


def test_fail_keeps_votes(api, worker, project, lease):
    TaskFactory(project=project, max_retries=3, verification_count=2, voters=[SOMEBODY], votes=[5])
    api.post(URL, {"task_id": lease(worker)["id"], "result": FAIL, "verification": 5}, worker=worker)
    task = Task.objects.get()
    assert (task.voters, task.votes) == ([SOMEBODY], [5])


def test_skip_leaves_the_task_as_before_the_lease(api, worker, project, lease):
    TaskFactory(project=project)
    before = Task.objects.values().get()
    api.post(URL, {"task_id": lease(worker)["id"], "result": SKIP}, worker=worker)
    assert Task.objects.values().get() == before


def test_lease_id_of_the_current_lease(api, worker, project, lease):
    TaskFactory(project=project)
    task = lease(worker)
    answer = api.post(URL, {"task_id": task["id"], "result": OK, "lease": task["lease"].upper()}, worker=worker)
    assert answer.content["updated"]


@pytest.mark.parametrize("result", [OK, FAIL, SKIP])
def test_slow_thread_cannot_end_a_later_lease(api, worker, project, lease, result):
    TaskFactory(project=project)
    slow = lease(worker)
    expire(slow["id"])
    later = lease(worker)
    assert slow["id"] == later["id"]
    assert_refused(api.post(URL, {"task_id": slow["id"], "result": result, "lease": slow["lease"]}, worker=worker))
    assert str(Task.objects.get().lease) == later["lease"]
    assert_refused(api.post(URL, {"task_id": slow["id"], "result": OK, "lease": str(uuid.uuid4())}, worker=worker))
    answer = api.post(URL, {"task_id": later["id"], "result": OK, "lease": later["lease"]}, worker=worker)
    assert answer.content["updated"]


def test_without_retention_a_closed_task_is_counted_but_not_kept(api, worker, lease):
    project = ProjectFactory(retention_days=0)
    TaskFactory(project=project)
    api.post(URL, {"task_id": lease(worker, project)["id"], "result": OK}, worker=worker)
    assert not Task.objects.exists()
    assert not ClosedTask.objects.exists()
    assert ClosedEntry.objects.get().count == 1


def test_hash_of_a_closed_task_may_be_submitted_again(api, submitter, project, lease):
    body = {"project": project.pk, "recipe": "x", "hash64": 3}
    for _ in range(2):
        assert api.post("/task/submit", body, worker=submitter).status == 200
        api.post(URL, {"task_id": lease(submitter)["id"], "result": OK}, worker=submitter)
    assert ClosedTask.objects.filter(hash64=3).count() == 2
