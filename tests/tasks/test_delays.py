"""`run_at`, `delay`, `expires_at` and `expires_in` of a task; what the scheduler does when their time comes."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tasks.models import Attempt, FailureGroup, OutcomeEntry, Reason, Task, WorkerTally
from tasks.queries.overview import overview
from tasks.queue import delays
from tasks.queue.delays import fail_expired, make_due_ready
from tasks.queue.expiry import expire_leases
from tasks.queue.tallying import fold_outcomes
from tasks.timing import LAST_MOMENT, LONGEST
from tests.clock import now
from tests.factories import ProjectFactory, TaskFactory, grant

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
OK, FAIL = 0, 1


@pytest.fixture
def submitter(worker, project):
    grant(worker, project, submit=True)
    return worker


@pytest.fixture(params=["one", "many"])
def submit(request, api, submitter, project):
    """Submits a task with these keys, alone or in a bulk."""

    def submit(**keys):
        body = {"project": project.pk, "recipe": "x", **keys}
        if request.param == "one":
            return api.post("/task/submit", body, worker=submitter)
        return api.post("/task/bulk_submit", [{"project": project.pk, "recipe": "plain"}, body], worker=submitter)

    return submit


def newest():
    return Task.objects.get(recipe="x")


def lease(api, project, worker, **query):
    answer = api.get(f"/task/get/{project.pk}" + "?count=9" * bool(query.get("count")), worker=worker)
    return answer.content


def in_seconds(moment):
    return (moment - now()).total_seconds()


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [({"delay": 100}, 100), ({"delay": 0.5}, 0.5), ({"run_at": LAST_MOMENT}, None), ({"delay": LONGEST}, LONGEST)],
    ids=str,
)
def test_delayed(submit, keys, seconds):
    assert submit(**keys).ok
    task = newest()
    assert task.status == Task.Status.DELAYED
    if seconds is None:
        assert task.run_at == datetime.fromtimestamp(LAST_MOMENT, UTC)
    else:
        assert seconds - 60 < in_seconds(task.run_at) <= seconds


@pytest.mark.parametrize("keys", [{"run_at": 0}, {"run_at": 1.5}, {"delay": 0}, {"delay": None}, {}], ids=str)
def test_ready_at_once(submit, keys):
    assert submit(**keys).ok
    assert (newest().status, newest().run_at) == (Task.Status.NEW, None)


def test_not_leased_before_its_time(api, submit, submitter, project):
    submit(delay=100)
    Task.objects.filter(recipe="plain").delete()
    assert lease(api, project, submitter) == {"reason": "delayed"}
    assert lease(api, project, submitter, count=True) == {"reason": "delayed"}
    assert make_due_ready() == 0
    Task.objects.update(run_at=now() - HOUR)
    assert make_due_ready() == 1
    assert (newest().status, newest().run_at) == (Task.Status.NEW, None)
    assert lease(api, project, submitter)["task"]["id"] == newest().pk


def test_delayed_elsewhere(api, worker, project):
    """The answer of a lease from any project tells of them, too."""
    TaskFactory(project=project, status=3, run_at=now() + HOUR)
    assert api.get("/task/get", worker=worker).content == {"reason": "delayed"}
    hidden = ProjectFactory(secluded=True)
    Task.objects.update(project=hidden)
    assert api.get("/task/get", worker=worker).content == {"reason": "empty"}


def test_its_hash_is_taken_while_it_waits(submit):
    submit(delay=100, hash64=5)
    answer = submit(hash64=5)
    assert answer.status == 409 or answer.content["duplicates"] == 1
    assert Task.objects.filter(hash64=5).count() == 1


def test_due_tasks_of_many_projects(monkeypatch):
    """Those of some come later, and a batch may end in between."""
    monkeypatch.setattr(delays, "BATCH", 5)
    projects = [ProjectFactory() for _ in range(4)]
    for project, sooner in zip(projects, (-HOUR, HOUR, -HOUR, -HOUR), strict=True):
        for _ in range(3):
            TaskFactory(project=project, status=3, run_at=now() + sooner)
    assert [make_due_ready() for _ in range(3)] == [5, 4, 0]
    assert set(Task.objects.filter(status=3).values_list("project", flat=True)) == {projects[1].pk}


def test_due_tasks_of_a_batch_keep_their_order(project):
    tasks = [TaskFactory(project=project, status=3, run_at=now() - HOUR, priority=n % 2) for n in range(4)]
    assert make_due_ready() == 4
    order = Task.objects.order_by("-rank", "pk").values_list("pk", flat=True)
    assert list(order) == [tasks[1].pk, tasks[3].pk, tasks[0].pk, tasks[2].pk]


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [({"expires_in": 100}, 100), ({"expires_at": LAST_MOMENT}, None), ({"delay": 5, "expires_in": 5.5}, 5.5)],
    ids=str,
)
def test_expires(submit, keys, seconds):
    assert submit(**keys).ok
    expires = newest().expires_at
    if seconds is None:
        assert expires == datetime.fromtimestamp(LAST_MOMENT, UTC)
    else:
        assert seconds - 60 < in_seconds(expires) <= seconds


@pytest.mark.parametrize("columns", [{}, {"status": 3, "run_at": "2200-01-01T00:00:00Z"}], ids=["ready", "delayed"])
def test_an_expired_task_fails(api, project, worker, columns):
    task = TaskFactory(project=project, expires_at=now() - HOUR, **columns)
    assert lease(api, project, worker)["reason"] in ("empty", "delayed")
    assert fail_expired() == 1
    task.refresh_from_db()
    assert (task.status, task.run_at) == (Task.Status.FAILED, None)
    attempt = Attempt.objects.get()
    assert (attempt.worker, attempt.lease, attempt.began, attempt.reason) == (None, None, None, Reason.EXPIRED)
    assert task.failure == attempt.fingerprint
    assert lease(api, project, worker) == {"reason": "empty"}
    assert fail_expired() == 0


def test_groups_of_expired_tasks(project):
    TaskFactory.create_batch(3, project=project, expires_at=now() - HOUR)
    fail_expired()
    assert fold_outcomes() == 3
    group = FailureGroup.objects.get()
    assert (group.count, group.reason, group.workers) == (3, Reason.EXPIRED, [])
    assert not WorkerTally.objects.exists()
    assert not OutcomeEntry.objects.exists()


@pytest.mark.parametrize("result", [OK, FAIL])
def test_who_holds_it_may_finish_it(api, project, worker, result):
    """A FAIL gives it back: then it has expired."""
    task = TaskFactory(project=project, max_retries=5)
    told = lease(api, project, worker)["task"]
    Task.objects.update(expires_at=now() - HOUR)
    assert fail_expired() == 0
    assert api.post("/task/release", {"task_id": told["id"], "result": result}, worker=worker).content["updated"]
    if result == FAIL:
        assert lease(api, project, worker) == {"reason": "empty"}
        assert fail_expired() == 1
        task.refresh_from_db()
        assert task.status == Task.Status.FAILED


def test_an_expired_lease_of_an_expired_task_is_not_given_on(api, project, worker, other_worker):
    TaskFactory(project=project)
    lease(api, project, worker)
    Task.objects.update(expires_at=now() - HOUR, lease_expires=now() - HOUR)
    assert lease(api, project, other_worker)["reason"] == "leased"
    assert expire_leases() == 1
    assert fail_expired() == 1


def test_an_expired_vote_is_passed_over(api, project, worker, other_worker):
    dead = TaskFactory(project=project, verification_count=2, voters=[-1], votes=[1], expires_at=now() - HOUR)
    live = TaskFactory(project=project, verification_count=2, voters=[-1], votes=[1])
    assert lease(api, project, worker)["task"]["id"] == live.pk
    assert lease(api, project, other_worker)["reason"] == "verified_all"
    assert fail_expired() == 1
    dead.refresh_from_db()
    assert (dead.status, dead.votes) == (Task.Status.FAILED, [1])


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"run_at": 5, "delay": 5}, "delay: can't be combined with run_at"),
        ({"expires_at": 5, "expires_in": 5}, "expires_in: can't be combined with expires_at"),
        ({"run_at": 9e9, "expires_at": 9e9}, "expires_at: must be later than run_at"),
        ({"delay": 5, "expires_in": 5}, "expires_in: must be longer than delay"),
        ({"delay": -1}, "delay: must be a number of seconds from 0"),
        ({"delay": LONGEST + 1}, "delay: must be a number of seconds from 0"),
        ({"delay": "5"}, 'delay: must be a number of seconds from 0 to 315360000, not the text "5"'),
        ({"delay": True}, "delay: must be a number of seconds from 0"),
        ({"expires_in": 1e300}, "expires_in: must be a number of seconds"),
        ({"run_at": "2026-01-01"}, "run_at: must be a time in Unix seconds"),
        ({"expires_at": LAST_MOMENT + 1}, "expires_at: must be a time in Unix seconds"),
        ({"dealy": 5}, '"dealy" is no key of a task; "delay" may be meant'),
        ({"runat": 5}, '"run_at" may be meant'),
        ({"delay": 5, "colour": 1}, '"colour" is no key of a task; there are project, recipe,'),
    ],
    ids=str,
)
def test_mistakes(submit, keys, problem):
    answer = submit(**keys)
    assert answer.status == 400
    assert problem in answer.message
    assert not Task.objects.exists()


def test_other_keys_are_ignored(submit):
    assert submit(colour=1).ok


def test_status(api, submitter, project):
    body = {"project": project.pk, "recipe": "x", "delay": 100, "expires_in": 200}
    task_id = api.post("/task/submit", body, worker=submitter).content["task"]["id"]
    told = api.get(f"/task/status/{task_id}", worker=submitter).content["task"]
    assert told["state"] == "delayed"
    assert 40 < told["run_at"] - time.time() < 160
    assert 140 < told["expires_at"] - time.time() < 260
    Task.objects.update(expires_at=now() - HOUR)
    fail_expired()
    told = api.get(f"/task/status/{task_id}", worker=submitter).content["task"]
    assert told["state"] == "failed"
    (attempt,) = told["attempts"]
    assert (attempt["outcome"], attempt["reason"], attempt["worker"]) == ("failed", "expired", None)


def test_counts(project):
    TaskFactory.create_batch(2, project=project, status=3, run_at=now() + HOUR)
    TaskFactory(project=project, status=3, run_at=now() + HOUR, voters=[-1], votes=[1])
    TaskFactory(project=project)
    counted = overview(project)
    assert (counted.ready, counted.delayed, counted.awaiting, counted.open) == (1, 3, 1, 4)
