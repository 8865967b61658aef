"""The scheduler's jobs: expired leases, counts of closed tasks, retention, and expired counters."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db.models.functions import Now

from projects.models import LONGEST_RETENTION_DAYS, Project
from tasks.models import ClosedEntry, ClosedTask, ClosedTotal, Task
from tasks.queries import project_statuses, worker_stats
from tasks.queue import Result, expiry, lease, release, upkeep
from tests.factories import ProjectFactory, TaskFactory, expire, grant, register
from tracker.cache import drop_expired_counters
from tracker.models import Counter

pytestmark = pytest.mark.django_db


def close(project, worker, count=1):
    for _ in range(count):
        TaskFactory(project=project)
        task = lease(project=project, worker=worker)
        assert release(worker=worker, task_id=task.id, result=Result.OK).updated


def closed_tasks(project, *days_ago):
    """Create closed tasks of these ages. As rows, since a release can't close a task in the past."""
    for age in days_ago:
        ClosedTask.objects.create(
            id=ClosedTask.objects.count() + 1,
            project=project,
            worker_id=1,
            recipe="x",
            priority=0,
            retries=0,
            verification=0,
            voters=[],
            votes=[],
            created=Now(),
            assign_time=Now(),
            closed=Now() - timedelta(days=age),
        )


def ages(project):
    now = Project.objects.values_list(Now(), flat=True)[0]
    closed = ClosedTask.objects.filter(project=project).order_by("closed").values_list("closed", flat=True)
    return [round((now - one).total_seconds() / 86400, 1) for one in closed]


# expire_leases


def test_expired_lease_goes_back_to_the_queue(project, worker, other_worker):
    TaskFactory(project=project, priority=3)
    task = lease(project=project, worker=worker.worker)
    expire(task.id)
    assert expiry.expire_leases() == 1
    row = Task.objects.get()
    assert (row.assignee, row.lease, row.assign_time, row.lease_expires) == (None, None, None, None)
    assert (row.status, row.retries, row.priority) == (Task.Status.NEW, 0, 3)
    assert not release(worker=worker.worker, task_id=task.id, result=Result.OK).held
    assert lease(project=project, worker=other_worker.worker).id == task.id


def test_valid_lease_stays(project, worker):
    TaskFactory(project=project)
    task = lease(project=project, worker=worker.worker)
    before = Task.objects.values().get()
    assert expiry.expire_leases() == 0
    assert Task.objects.values().get() == before
    assert release(worker=worker.worker, task_id=task.id, result=Result.OK).updated


def test_ready_and_failed_tasks_stay(project):
    TaskFactory(project=project)
    TaskFactory(project=project, status=Task.Status.FAILED)
    assert expiry.expire_leases() == 0


def test_votes_are_kept_when_a_lease_expires(project, worker, other_worker):
    TaskFactory(project=project, verification_count=2)
    task = lease(project=project, worker=worker.worker)
    release(worker=worker.worker, task_id=task.id, result=Result.OK, verification=-7)
    assert lease(project=project, worker=other_worker.worker).id == task.id
    expire(task.id)
    assert expiry.expire_leases() == 1
    row = Task.objects.get()
    assert (row.voters, row.votes) == ([worker.worker.pk], [-7])
    assert lease(project=project, worker=worker.worker) is None
    assert lease(project=project, worker=other_worker.worker).id == task.id


def test_leases_expire_in_all_projects(worker):
    projects = [ProjectFactory(), ProjectFactory(), ProjectFactory(secluded=True)]
    for project in projects:
        grant(worker, project, assign=True)
        for _ in range(2):
            TaskFactory(project=project)
            expire(lease(project=project, worker=worker.worker).id)
        TaskFactory(project=project)
        lease(project=project, worker=worker.worker)
    Project.objects.filter(pk=projects[1].pk).update(paused=True)
    assert expiry.expire_leases() == 6
    assert Task.objects.filter(assignee=None).count() == 6
    assert Task.objects.exclude(assignee=None).count() == 3


def test_leases_expire_in_batches(project, worker, monkeypatch):
    monkeypatch.setattr(expiry, "BATCH", 2)
    for one in (project, ProjectFactory()):
        for _ in range(3):
            TaskFactory(project=one)
            expire(lease(project=one, worker=worker.worker).id)
    assert [expiry.expire_leases() for _ in range(3)] == [4, 2, 0]


@pytest.mark.django_db(transaction=True)
def test_racing_expiry_and_leases_give_no_task_twice(project, racing):
    workers = [register().worker for _ in range(6)]
    for _ in range(4):
        TaskFactory(project=project)
        expire(lease(project=project, worker=workers[0]).id)
    calls = [lambda worker=worker: lease(project=project, worker=worker) for worker in workers]
    outcomes = racing([*calls, expiry.expire_leases, expiry.expire_leases])
    leased = [task.id for task in outcomes[:6] if task is not None]
    assert len(set(leased)) == len(leased)
    assert Task.objects.exclude(assignee=None).count() == len(leased)
    assert Task.objects.filter(lease_expires__lte=Now()).count() == 0


# fold_closed


def counts():
    return {one.id: one.closed_task_count for one in worker_stats()}, {one.id: one.closed for one in project_statuses()}


def test_counts_are_exact_before_and_after_folding(project, worker, other_worker):
    other_project = ProjectFactory()
    first, second = worker.worker, other_worker.worker
    close(project, first, 3)
    close(project, second, 2)
    close(other_project, first, 1)
    expected = ({first.pk: 4, second.pk: 2}, {project.pk: 5, other_project.pk: 1})
    assert counts() == expected
    assert upkeep.fold_closed() == 6
    assert counts() == expected
    assert not ClosedEntry.objects.exists()
    assert set(ClosedTotal.objects.values_list("project", "worker", "count")) == {
        (project.pk, first.pk, 3),
        (project.pk, second.pk, 2),
        (other_project.pk, first.pk, 1),
    }


def test_folding_nothing_changes_nothing(project, worker):
    close(project, worker.worker, 2)
    assert upkeep.fold_closed() == 2
    assert upkeep.fold_closed() == 0
    assert counts() == ({worker.worker.pk: 2}, {project.pk: 2})


def test_folding_again_adds_to_the_total(project, worker):
    for total in (1, 2, 3):
        close(project, worker.worker)
        assert upkeep.fold_closed() == 1
        assert ClosedTotal.objects.get().count == total


def test_folds_in_batches(project, worker, monkeypatch):
    monkeypatch.setattr(upkeep, "BATCH", 2)
    close(project, worker.worker, 5)
    assert [upkeep.fold_closed() for _ in range(4)] == [2, 2, 1, 0]
    assert ClosedTotal.objects.get().count == 5


@pytest.mark.django_db(transaction=True)
def test_racing_folds_and_readers_count_each_closing_once(project, racing, monkeypatch):
    monkeypatch.setattr(upkeep, "BATCH", 7)
    workers = [register().worker for _ in range(3)]
    ClosedEntry.objects.bulk_create(
        ClosedEntry(project=project, worker=worker, count=1) for _ in range(100) for worker in workers
    )

    def fold():
        folded = 0
        while batch := upkeep.fold_closed():
            folded += batch
        return folded

    def read():
        return {tuple(counts()[0].values()) for _ in range(40)}

    *folded, seen, seen_too = racing([fold, fold, fold, read, read])
    assert sum(folded) == 300
    assert seen | seen_too == {(100, 100, 100)}
    assert counts() == ({worker.pk: 100 for worker in workers}, {project.pk: 300})


# forget_closed


def test_closed_tasks_are_forgotten_after_their_projects_retention():
    week, month = ProjectFactory(), ProjectFactory(retention_days=30)
    for project in (week, month):
        closed_tasks(project, 31, 29, 7.1, 6.9, 0)
    assert upkeep.forget_closed() == 4
    assert ages(week) == [6.9, 0]
    assert ages(month) == [29, 7.1, 6.9, 0]
    assert upkeep.forget_closed() == 0


def test_retention_of_zero_forgets_everything():
    project = ProjectFactory(retention_days=0)
    closed_tasks(project, 1, 0.0001)
    assert upkeep.forget_closed() == 2


def test_forgetting_leaves_the_counts_alone(project, worker):
    close(project, worker.worker, 2)
    ClosedTask.objects.update(closed=Now() - timedelta(days=8))
    assert upkeep.forget_closed() == 2
    assert counts() == ({worker.worker.pk: 2}, {project.pk: 2})


def test_forgets_in_batches(project, monkeypatch):
    monkeypatch.setattr(upkeep, "BATCH", 2)
    closed_tasks(project, 8, 9, 10)
    assert upkeep.forget_closed() == 2
    assert ages(project) == [8]
    assert [upkeep.forget_closed() for _ in range(2)] == [1, 0]


def test_longest_retention_keeps_everything_and_others_are_still_forgotten(project):
    longest = ProjectFactory(retention_days=LONGEST_RETENTION_DAYS)
    closed_tasks(longest, 5000)
    closed_tasks(project, 8)
    assert upkeep.forget_closed() == 1
    assert ages(longest) == [5000]


def test_closed_tasks_are_deleted_with_their_project(project):
    closed_tasks(project, 1)
    project.delete()
    assert not ClosedTask.objects.exists()


# drop_expired_counters


def test_expired_counters_are_dropped():
    cache.clear()
    for key, timeout in (("old", 0), ("older", -50), ("good", 100), ("forever", None)):
        cache.set(key, 1, timeout)
    assert drop_expired_counters() == 2
    assert [key.split(":")[-1] for key in Counter.objects.order_by("key").values_list("key", flat=True)] == [
        "forever",
        "good",
    ]
    assert drop_expired_counters() == 0
