"""Folding how leases ended into tallies and groups of failures, and forgetting it in time."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tasks import maintenance, queue
from tasks.durations import quantile
from tasks.models import (
    Attempt,
    ClosedEntry,
    FailureGroup,
    Outcome,
    OutcomeEntry,
    ProjectTally,
    Task,
    WorkerTally,
)
from tasks.queries.search import Criteria
from tasks.queue import Report
from tasks.queue.tallying import drop_tallies, fold_outcomes, forget_attempts, forget_failures
from tasks.queue.upkeep import fold_closed
from tests.factories import ProjectFactory, TaskFactory, expire, register
from tracker import db

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)
COLUMNS = ("closed", "failed", "skipped", "expired", "agreed", "outvoted")


@pytest.fixture
def project():
    return ProjectFactory(version="v1")


def report(project, worker, result, *, told=None, verification=0):
    task = queue.lease(worker=worker.worker, project=project)
    queue.release(worker=worker.worker, task_id=task.id, result=result, verification=verification, told=told)
    return task.id


def fold():
    """Fold everything. Returns how many rows there were."""
    count = 0
    while more := fold_closed() + fold_outcomes():
        count += more
    return count


def tallied(worker, project, **where):
    return WorkerTally.objects.filter(worker=worker.worker, project=project, **where).values_list(*COLUMNS).get()


def test_it_works(project):
    one, other = register(), register()
    TaskFactory.create_batch(10, project=project, max_retries=9)
    for result in (OK, OK, FAIL, SKIP, SKIP, SKIP):
        report(project, one, result)
    report(project, other, FAIL)
    assert fold() == 7
    assert fold() == 0
    for hour in ({"hour": None}, {"hour__isnull": False}):
        assert tallied(one, project, **hour) == (2, 1, 3, 0, 0, 0)
        assert tallied(other, project, **hour) == (0, 1, 0, 0, 0, 0)
    assert ProjectTally.objects.values_list("closed", "failed", "skipped", "expired").get() == (2, 2, 3, 0)
    report(project, one, OK)
    fold()
    assert tallied(one, project, hour=None) == (3, 1, 3, 0, 0, 0)
    assert sum(WorkerTally.objects.get(worker=one.worker, hour=None).durations) == 3


def test_votes_and_expiries(project):
    workers = [register() for _ in range(3)]
    TaskFactory(project=project, verification_count=2)
    for worker, verification in zip(workers, (1, 2, 1), strict=True):
        report(project, worker, OK, verification=verification)
    task = TaskFactory(project=project)
    queue.lease(worker=workers[0].worker, project=project)
    expire(task)
    queue.lease(worker=workers[1].worker, project=project)
    fold()
    assert tallied(workers[0], project, hour=None) == (0, 0, 0, 1, 1, 0)
    assert tallied(workers[1], project, hour=None) == (0, 0, 0, 0, 0, 1)
    assert tallied(workers[2], project, hour=None) == (1, 0, 0, 0, 1, 0)


def test_durations(project):
    worker = register()
    for seconds in (0.01, 0.01, 0.01, 0.01, 90, 0):
        TaskFactory(project=project)
        report(project, worker, OK, told=f'{{"seconds": {seconds}}}')
    assert fold() == 6
    durations = WorkerTally.objects.get(hour=None).durations
    assert sum(durations) == 6
    assert quantile(durations, 0.5) == pytest.approx(0.01, rel=0.1)
    assert quantile(durations, 0.95) == pytest.approx(90, rel=0.1)
    assert quantile(durations, 0.01) == pytest.approx(0.001, rel=0.1)


def test_durations_of_a_batch(project):
    worker = register()
    TaskFactory.create_batch(3, project=project)
    leased = queue.lease_many(worker=worker.worker, project_id=project.pk, count=3).tasks
    Task.objects.update(assign_time="2026-01-01T00:00:00Z")
    told = ['{"seconds": 2}', None, '{"seconds": 1e9}']
    queue.release_many(
        worker=worker.worker, reports=[Report(task.id, OK, told=one) for task, one in zip(leased, told, strict=True)]
    )
    fold()
    durations = WorkerTally.objects.get(hour=None).durations
    assert (len(durations), sum(durations)) == (128, 3)


@pytest.mark.parametrize(("counts", "share", "seconds"), [([], 0.5, None), ([0, 0], 0.5, None), ([1], 1, 0.00109)])
def test_quantiles(counts, share, seconds):
    assert quantile(counts, share) == (None if seconds is None else pytest.approx(seconds, rel=0.01))


def test_groups_of_failures(project):
    one, other = register(), register()
    TaskFactory.create_batch(5, project=project, max_retries=9)
    report(project, one, FAIL, told='{"message": "no answer after 5 s"}')
    last = report(project, other, FAIL, told='{"message": "no answer after 31 s"}')
    report(project, one, FAIL, told='{"message": "no such file"}')
    report(project, one, SKIP, told='{"message": "no such file"}')
    report(project, one, FAIL)
    fold()
    assert FailureGroup.objects.count() == 3
    group = FailureGroup.objects.get(count=2)
    assert group.message == "no answer after 31 s"
    assert Attempt.objects.get(pk=group.example).task_id == last
    assert (set(group.workers), group.versions) == ({one.worker.pk, other.worker.pk}, ["v1"])
    assert group.first_seen <= group.last_seen
    project.version = "v2"
    project.save()
    report(project, one, FAIL, told='{"message": "no answer after 7 s"}')
    fold()
    group.refresh_from_db()
    assert (group.count, group.message, group.versions) == (3, "no answer after 7 s", ["v1", "v2"])
    assert len(group.workers) == 2


def test_the_failed_tasks_of_a_group(project):
    worker = register()
    TaskFactory.create_batch(4, project=project)
    for message in ("a", "b", "a", "a"):
        report(project, worker, FAIL, told=f'{{"message": "{message}"}}')
    fold()
    group = FailureGroup.objects.get(count=3)
    criteria = Criteria([project.pk], failure=group.fingerprint)
    assert maintenance.set_priority_of_matching(criteria, priority=4) == 3
    assert maintenance.retry_matching(criteria) == 3
    assert sorted(Task.objects.values_list("status", "priority", "failure")) == [
        *[(1, 4, None)] * 3,
        (2, 0, Task.objects.get(status=2).failure),
    ]
    assert maintenance.retry_matching(criteria) == 0
    assert (
        maintenance.delete_matching(Criteria([project.pk], failure=FailureGroup.objects.get(count=1).fingerprint)) == 1
    )


@pytest.mark.parametrize("how", ["all", "worker", "matching"])
def test_reclaimed(project, how):
    worker, task = register(), TaskFactory(project=project)
    leased = queue.lease(worker=worker.worker, project=project)
    match how:
        case "all":
            assert maintenance.reclaim_leased(project=project) == 1
        case "worker":
            assert maintenance.release_leases_of(worker=worker.worker) == 1
        case "matching":
            assert maintenance.release_matching(Criteria([project.pk])) == 1
    attempt = Attempt.objects.get()
    assert (attempt.outcome, str(attempt.lease), attempt.task_id) == (Outcome.RECLAIMED, leased.lease, task.pk)
    task.refresh_from_db()
    assert (task.assignee_id, task.expiries, task.status) == (None, 0, 1)
    fold()
    assert tallied(worker, project, hour=None) == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("how", ["all", "matching"])
def test_cancelled(project, how):
    worker, task, other = register(), TaskFactory(project=project), TaskFactory(project=project)
    queue.lease(worker=worker.worker, project=project)
    if how == "all":
        assert maintenance.delete_all(project=project) == 2
    else:
        assert maintenance.delete_matching(Criteria([project.pk])) == 2
    assert not Task.objects.exists()
    assert [(one.outcome, one.task_id) for one in Attempt.objects.all()] == [(Outcome.CANCELLED, task.pk)]
    assert other.pk != task.pk


@pytest.mark.parametrize("days", [0, 1, 7])
def test_attempts_are_forgotten(days):
    project = ProjectFactory(retention_days=days)
    worker = register()
    for age in (0, 0.9, 1.1, 6.9, 7.1):
        TaskFactory(project=project, max_retries=9)
        report(project, worker, FAIL)
        Attempt.objects.filter(pk=Attempt.objects.latest("pk").pk).update(ended=timezone.now() - timedelta(days=age))
    assert forget_attempts() == (1 if days == 7 else 3)
    assert forget_attempts() == 0


def test_groups_are_forgotten(project):
    worker = register()
    TaskFactory(project=project, max_retries=9)
    report(project, worker, FAIL)
    fold()
    FailureGroup.objects.update(last_seen="2020-01-01T00:00:00Z")
    # Its attempt is still there.
    assert forget_failures() == 0
    Attempt.objects.all().delete()
    fingerprint = FailureGroup.objects.get().fingerprint
    Task.objects.update(status=2, failure=fingerprint)
    assert forget_failures() == 0
    Task.objects.all().delete()
    assert forget_failures() == 1


def test_tallies_are_dropped(project, settings):
    settings.SNAPSHOT_KEEP_HOURS = 5
    worker = register()
    now = timezone.now()
    for hours in (1, 48, 50):
        moment = now - timedelta(hours=hours)
        WorkerTally.objects.create(project=project, worker=worker.worker, hour=moment, seen=moment)
        ProjectTally.objects.create(project=project, minute=moment)
    WorkerTally.objects.create(project=project, worker=worker.worker, hour=None, seen=now)
    assert drop_tallies() == 3
    assert drop_tallies() == 0
    assert (WorkerTally.objects.count(), ProjectTally.objects.count()) == (3, 1)


def test_entries_of_more_than_one_batch(project, monkeypatch):
    monkeypatch.setattr("tasks.queue.tallying.BATCH", 3)
    worker = register()
    TaskFactory.create_batch(8, project=project, max_retries=9)
    for _ in range(8):
        report(project, worker, FAIL)
    assert fold() == 8
    assert tallied(worker, project, hour=None) == (0, 8, 0, 0, 0, 0)
    assert FailureGroup.objects.get().count == 8
    assert not OutcomeEntry.objects.exists()
    assert not ClosedEntry.objects.exists()


def test_the_sum_of_durations():
    statement = "SELECT queue_added('{1,2}', '{1,1,1}'), queue_added('{}', '{}'), queue_spread('{2,0}', '{5,6}')"
    assert db.one(statement) == ([2, 3, 1], [], [6, 0, 5])
