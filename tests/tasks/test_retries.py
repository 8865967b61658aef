"""The delay before a task is tried again: the project's policy, and the worker's `retry_after`."""

import json

import pytest

from projects.models import LONGEST_DELAY, Project
from tasks import queue
from tasks.models import Task
from tests.clock import now
from tests.factories import ProjectFactory, TaskFactory

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = queue.Result
MANY = 100


@pytest.fixture(params=["one", "many"])
def report(request, project, worker):
    """Leases the only task and reports it. Returns the seconds until it is ready again, None if it is at once."""

    def report(result=FAIL, verification=0, **told):
        task = queue.lease(project=project, worker=worker.worker)
        said = json.dumps(told) if told else None
        if request.param == "one":
            done = queue.release(
                worker=worker.worker, task_id=task.id, result=result, verification=verification, told=said
            )
        else:
            reports = [queue.Report(task.id, result, verification, told=said)]
            (done,) = queue.release_many(worker=worker.worker, reports=reports)
        assert done.held
        return waits()

    return report


def waits():
    task = Task.objects.get()
    assert (task.status == Task.Status.DELAYED) == (task.run_at is not None)
    return None if task.run_at is None else (task.run_at - now()).total_seconds()


def again():
    Task.objects.update(status=1, run_at=None)


def policy(**columns):
    Project.objects.update(**{f"retry_{name}": value for name, value in columns.items()})


def about(seconds):
    """A test may be held up: then less is left."""
    return pytest.approx(seconds - 30, abs=30.1)


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("none", [None, None, None, None]),
        ("fixed", [100, 100, 100, 100]),
        ("linear", [100, 200, 300, 400]),
        ("exponential", [100, 200, 400, 500]),
    ],
)
def test_grows(project, report, backoff, expected):
    policy(backoff=backoff, seconds=100, max_seconds=500)
    TaskFactory(project=project, max_retries=9)
    for seconds in expected:
        found = report()
        assert found is None if seconds is None else found == about(seconds)
        again()


def test_a_long_row_of_failures(project, report):
    policy(backoff="exponential", seconds=LONGEST_DELAY, max_seconds=LONGEST_DELAY)
    TaskFactory(project=project, retries=2**31 - 3, max_retries=2**31 - 1)
    assert report() == about(LONGEST_DELAY)


def test_jitter(project, worker):
    policy(backoff="fixed", seconds=1000, jitter=50)
    TaskFactory.create_batch(MANY, project=project, max_retries=9)
    tasks = queue.lease_many(worker=worker.worker, project_id=project.pk, count=MANY).tasks
    queue.release_many(worker=worker.worker, reports=[queue.Report(task.id, FAIL) for task in tasks])
    moments = Task.objects.values_list("run_at", flat=True)
    found = sorted((moment - now()).total_seconds() for moment in moments)
    assert 440 < found[0] < 700
    assert 800 < found[-1] <= 1000


def test_the_last_failure_waits_for_nothing(project, report):
    policy(backoff="fixed")
    TaskFactory(project=project, max_retries=1)
    assert report() is None
    assert Task.objects.get().status == Task.Status.FAILED


@pytest.mark.parametrize(
    ("result", "told"),
    [(SKIP, {}), (FAIL, {"reason": 3}), (FAIL, {"reason": 4}), (SKIP, {"reason": 5}), (FAIL, {"retry_after": 0})],
    ids=str,
)
def test_ready_at_once(project, report, result, told):
    """The policy is for failures that count; a worker may say that there is nothing to wait for."""
    policy(backoff="fixed")
    TaskFactory(project=project, max_retries=5)
    assert report(result, **told) is None
    assert Task.objects.get().status == Task.Status.NEW


@pytest.mark.parametrize("backoff", ["none", "fixed"])
@pytest.mark.parametrize(("result", "reason"), [(FAIL, None), (SKIP, None), (FAIL, 4), (SKIP, 5)])
def test_retry_after(project, report, backoff, result, reason):
    policy(backoff=backoff)
    TaskFactory(project=project, max_retries=5)
    told = {"retry_after": 500.5} | ({} if reason is None else {"reason": reason})
    assert report(result, **told) == about(500.5)


def test_bad_recipe_fails_whatever_is_said(project, report):
    TaskFactory(project=project, max_retries=5)
    assert report(SKIP, reason=2, retry_after=50) is None
    assert Task.objects.get().status == Task.Status.FAILED


def test_a_vote_waits_for_nothing(project, report):
    policy(backoff="fixed")
    TaskFactory(project=project, verification_count=2)
    assert report(OK) is None
    assert Task.objects.get().status == Task.Status.NEW


def test_of_several_projects_each_has_its_policy(project, worker):
    other_project = ProjectFactory()
    Project.objects.filter(pk=project.pk).update(retry_backoff="fixed", retry_seconds=300)
    mine, plain = (TaskFactory(project=one, max_retries=9) for one in (project, other_project))
    for one in (project, other_project):
        queue.lease(project=one, worker=worker.worker)
    reports = [queue.Report(task.pk, FAIL) for task in (mine, plain)]
    queue.release_many(worker=worker.worker, reports=reports)
    mine.refresh_from_db()
    plain.refresh_from_db()
    assert (mine.status, plain.status) == (Task.Status.DELAYED, Task.Status.NEW)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"result": 0, "retry_after": 5}, "retry_after: goes with FAIL (1) or SKIP (2), not with OK (0)."),
        ({"result": 1, "retry_after": -1}, "retry_after: must be a number of seconds from 0 to 604800"),
        ({"result": 1, "retry_after": LONGEST_DELAY + 1}, "retry_after: must be a number of seconds from 0 to 604800"),
        ({"result": 1, "retry_after": "5"}, "retry_after: must be a number of seconds"),
        ({"result": 1, "retryafter": 5}, '"retry_after" may be meant'),
    ],
    ids=str,
)
@pytest.mark.parametrize("many", [False, True])
def test_mistakes(api, project, worker, keys, problem, many):
    task = TaskFactory(project=project)
    queue.lease(project=project, worker=worker.worker)
    body = {"task_id": task.pk, **keys}
    answer = api.post("/task/bulk_release" if many else "/task/release", [body] if many else body, worker=worker)
    assert answer.status == 400
    assert problem in answer.message
    assert Task.objects.get().assignee == worker.worker


def test_over_http(api, project, worker):
    task = TaskFactory(project=project, max_retries=5)
    queue.lease(project=project, worker=worker.worker)
    assert api.post("/task/release", {"task_id": task.pk, "result": 1, "retry_after": 90}, worker=worker).ok
    assert waits() == about(90)
