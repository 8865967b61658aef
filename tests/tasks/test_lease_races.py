"""Races of those that keep leases and those that end them. Each racing call has its own thread and connection."""

from functools import partial

import pytest

from tasks import queue
from tasks.cancelling import Canceller, cancel_ids, cancel_matching
from tasks.models import Attempt, ClosedEntry, ClosedTask, Outcome, Task
from tasks.queries.search import Criteria
from tasks.queue.expiry import expire_leases
from tests.factories import ProjectFactory, TaskFactory, expire, register

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 20


def errors(outcomes):
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]


@pytest.fixture
def project():
    return ProjectFactory()


@pytest.fixture
def holder():
    return register("holder").worker


def held(project, worker):
    """A new task that the worker holds."""
    TaskFactory(project=project)
    return queue.lease(worker=worker, project=project)


def heartbeat(worker, task):
    """A call that extends the lease: whether it was extended."""

    def call():
        (told,) = queue.heartbeat(worker=worker, heartbeats=[queue.Heartbeat(task.id, task.lease, 500.0)])
        return told.expires is not None

    return call


def test_heartbeat_races_release(racing, project, holder):
    for turn in range(ROUNDS):
        task = held(project, holder)
        result = queue.Result.OK if turn % 2 else queue.Result.SKIP
        release = partial(queue.release, worker=holder, task_id=task.id, result=result, lease=task.lease)
        outcomes = racing([heartbeat(holder, task), release])
        assert not errors(outcomes)
        # Whichever comes first, the release counts, and nothing of the lease is left.
        assert outcomes[1].updated
        assert Task.objects.filter(lease=None).count() == Task.objects.count() == (result == queue.Result.SKIP)
        Task.objects.all().delete()
    assert ClosedTask.objects.count() == ROUNDS // 2


def test_heartbeat_races_the_scheduler(racing, project, holder):
    for _ in range(ROUNDS):
        task = held(project, holder)
        expire(task.id)
        extended, ended = outcomes = racing([heartbeat(holder, task), expire_leases])
        assert not errors(outcomes)
        # One of the two: either the lease lasts, or it has ended and the worker is told so.
        assert extended is not bool(ended)
        row = Task.objects.get(pk=task.id)
        assert (row.assignee_id, row.expiries) == ((holder.pk, 0) if extended else (None, 1))
        assert Attempt.objects.filter(task_id=task.id).count() == ended
        Task.objects.all().delete()


def test_heartbeat_races_the_next_lease(racing, project, holder):
    other = register("other").worker
    for _ in range(ROUNDS):
        task = held(project, holder)
        expire(task.id)
        extended, leased = outcomes = racing(
            [heartbeat(holder, task), partial(queue.lease, worker=other, project=project)]
        )
        assert not errors(outcomes)
        # Exactly one of the two has it.
        assert extended is (leased is None)
        row = Task.objects.get(pk=task.id)
        assert row.assignee_id == (holder.pk if extended else other.pk)
        Task.objects.all().delete()


def test_racing_exchanges_with_heartbeats(racing, project, holder):
    """Of one worker, each releasing what another extends, in opposite orders: none of them ends in a deadlock."""
    for _ in range(ROUNDS):
        TaskFactory.create_batch(20, project=project)
        tasks = queue.lease_many(worker=holder, project_id=project.pk, count=20).tasks
        halves = [tasks[:10], tasks[10:]]

        def exchange(done, kept):
            reports = [queue.Report(task.id, queue.Result.OK, lease=task.lease) for task in done]
            beats = [queue.Heartbeat(task.id, task.lease, 500.0) for task in reversed(kept)]
            return queue.exchange(worker=holder, project_id=project.pk, count=1, reports=reports, heartbeats=beats)

        outcomes = racing([partial(exchange, *halves), partial(exchange, *halves[::-1])] * 2)
        assert not errors(outcomes)
        assert sum(one.updated for outcome in outcomes for one in outcome.released) == 20
        assert not Task.objects.exists()


def test_heartbeats_in_opposite_orders(racing, project, holder):
    TaskFactory.create_batch(200, project=project)
    tasks = queue.lease_many(worker=holder, project_id=project.pk, count=200).tasks
    beats = [queue.Heartbeat(task.id, task.lease, 500.0) for task in tasks]
    calls = [partial(queue.heartbeat, worker=holder, heartbeats=order) for order in (beats, beats[::-1]) * 4]
    outcomes = racing(calls)
    assert not errors(outcomes)
    assert all(one.expires for outcome in outcomes for one in outcome)


def test_heartbeat_races_changes_of_the_row(racing, project, holder):
    """Each change moves the row to another place in the table."""
    for _ in range(ROUNDS):
        task = held(project, holder)

        def change(task=task):
            return [Task.objects.filter(pk=task.id).update(priority=number, rank=number) for number in range(10)]

        outcomes = racing([heartbeat(holder, task)] * 3 + [change])
        assert not errors(outcomes)
        assert outcomes[:3] == [True] * 3
        row = Task.objects.get(pk=task.id)
        assert (row.priority, row.assignee_id) == (9, holder.pk)
        assert (row.lease_expires - row.assign_time).total_seconds() < 1000
        Task.objects.all().delete()


def cancel(project, ids):
    """A call that cancels these tasks of the project: which ones were."""
    return partial(cancel_ids, ids, Canceller(projects=[project.pk]))


@pytest.mark.parametrize("by_filter", [False, True])
def test_cancel_races_release(racing, holder, by_filter):
    following = ProjectFactory()
    project = ProjectFactory(chain=following)
    everything = Criteria([project.pk])
    for _ in range(ROUNDS):
        task = held(project, holder)
        ends = cancel(project, [task.id])
        if by_filter:
            ends = partial(cancel_matching, everything)
        release = partial(queue.release, worker=holder, task_id=task.id, result=queue.Result.OK, lease=task.lease)
        cancelled, released = outcomes = racing([ends, release])
        assert not errors(outcomes)
        is_cancelled = bool(cancelled.number if by_filter else cancelled)
        # Exactly one has the task, and the worker is told which.
        assert is_cancelled is not released.updated
        assert released.cancelled is is_cancelled
        assert ClosedTask.objects.filter(pk=task.id).exists() is released.updated
        assert Attempt.objects.filter(task_id=task.id, outcome=Outcome.CANCELLED).exists() is is_cancelled
        assert not project.tasks.exists()
    closed = ClosedTask.objects.count()
    assert ClosedEntry.objects.count() == following.tasks.count() == closed
    assert Attempt.objects.count() == ROUNDS - closed


def test_cancel_races_lease(racing, project, holder):
    for _ in range(ROUNDS):
        task = TaskFactory(project=project)
        cancelled, leased = outcomes = racing(
            [cancel(project, [task.pk]), partial(queue.lease, worker=holder, project=project)]
        )
        assert not errors(outcomes)
        # Also if it was leased before: then the row tells by whom.
        assert cancelled == {task.pk}
        assert not Task.objects.exists()
        attempt = Attempt.objects.get(task_id=task.pk)
        assert (attempt.worker_id, attempt.lease and str(attempt.lease)) == (
            (holder.pk, leased.lease) if leased else (None, None)
        )


def test_cancel_races_heartbeat(racing, project, holder):
    for _ in range(ROUNDS):
        task = held(project, holder)
        cancelled, _extended = outcomes = racing([cancel(project, [task.id]), heartbeat(holder, task)])
        assert not errors(outcomes)
        assert cancelled == {task.id}
        (told,) = queue.heartbeat(worker=holder, heartbeats=[queue.Heartbeat(task.id, task.lease)])
        assert told == queue.Extended(None, cancelled=True)


def test_cancel_races_the_scheduler(racing, project, holder):
    for _ in range(ROUNDS):
        task = held(project, holder)
        expire(task.id)
        outcomes = racing([cancel(project, [task.id]), expire_leases])
        assert not errors(outcomes)
        assert not Task.objects.exists()
        expired = Attempt.objects.filter(task_id=task.id, outcome=Outcome.EXPIRED).count()
        row = Attempt.objects.get(task_id=task.id, outcome=Outcome.CANCELLED)
        # Whose lease has ended before does not hold it any more.
        assert (row.worker_id is None) is bool(expired)


def test_racing_cancels(racing, project):
    """In opposite orders, by id and by filter: each task is cancelled once."""
    for _ in range(5):
        ids = [task.pk for task in TaskFactory.create_batch(100, project=project)]
        everything = partial(cancel_matching, Criteria([project.pk]))
        outcomes = racing([cancel(project, ids), cancel(project, ids[::-1]), everything, everything])
        assert not errors(outcomes)
        assert len(outcomes[0]) + len(outcomes[1]) + outcomes[2].number + outcomes[3].number == 100
        assert not Task.objects.exists()
    assert Attempt.objects.count() == 500


def test_cancel_races_releases_of_many(racing, project, holder):
    for _ in range(ROUNDS // 2):
        TaskFactory.create_batch(50, project=project)
        tasks = queue.lease_many(worker=holder, project_id=project.pk, count=50).tasks
        reports = [queue.Report(task.id, queue.Result.OK, lease=task.lease) for task in reversed(tasks)]
        cancelled, released = outcomes = racing(
            [
                cancel(project, [task.id for task in tasks]),
                partial(queue.release_many, worker=holder, reports=reports),
            ]
        )
        assert not errors(outcomes)
        by_id = dict(zip([report.task_id for report in reports], released, strict=True))
        assert {task_id for task_id, one in by_id.items() if not one.updated} == cancelled
        assert {task_id for task_id, one in by_id.items() if one.cancelled} == cancelled
        assert not Task.objects.exists()
