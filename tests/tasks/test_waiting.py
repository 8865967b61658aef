"""`wait`: calls that are answered once there is a task. On the event loop, with connections of its own."""

import asyncio

import pytest

from projects.models import Project
from tasks import queue
from tasks.models import Task
from tasks.queue.waiting import READY
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, expire, register
from tests.front.loops import on_loop, outcome
from tracker import db
from tracker.front.database import Database
from workers.identity import UnknownWorker
from workers.models import Worker

LONG = 15
pytestmark = pytest.mark.django_db(transaction=True)


def meanwhile(works, change=lambda: None):
    """What these steps return, begun at the same moment; `change` is called, in a thread, when all of them wait."""

    async def main():
        database = Database(4)
        try:
            calls = [asyncio.ensure_future(outcome(database.run, work)) for work in works]
            room = database.room(READY)
            while len(room._waiters) < len(works) - sum(call.done() for call in calls):
                await asyncio.sleep(0.001)
            await asyncio.to_thread(changed, change)
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            database.close()

    return on_loop(main())


def changed(change):
    from django.db import connection

    try:
        change()
    finally:
        connection.close()


def waiting(worker, project, **options):
    return queue.lease_many.steps(worker=worker.worker, project_id=project.pk, **{"count": 1, "wait": LONG} | options)


def ids(outcomes):
    return [[task.id for task in one.tasks] for one in outcomes]


def test_it_works(worker, project):
    (leased,) = meanwhile([waiting(worker, project)], lambda: TaskFactory(project=project))
    assert [task.id for task in leased.tasks] == [Task.objects.get(assignee=worker.worker.pk).pk]


def test_what_is_there_is_leased_at_once(worker, project):
    task = TaskFactory(project=project)
    assert ids(meanwhile([waiting(worker, project)])) == [[task.pk]]


def test_nothing_comes(worker, project):
    (leased,) = meanwhile([waiting(worker, project, wait=0.01)])
    assert (leased.tasks, leased.reason, leased.waited) == ([], "empty", True)


def test_two_wait_for_three(project):
    workers = [register() for _ in range(3)]
    outcomes = meanwhile(
        [waiting(one, project, wait=2) for one in workers], lambda: TaskFactory.create_batch(2, project=project)
    )
    assert sorted(map(len, ids(outcomes))) == [0, 1, 1]
    assert Task.objects.exclude(assignee=None).count() == 2


def test_several_at_once(worker, project):
    (leased,) = meanwhile([waiting(worker, project, count=10)], lambda: TaskFactory.create_batch(3, project=project))
    assert 1 <= len(leased.tasks) <= 3


@pytest.mark.parametrize("how", ["expires", "is given back"])
def test_a_task_of_another_worker(how, worker, project):
    TaskFactory(project=project)
    other = register().worker
    task = queue.lease(worker=other, project=project)

    def change():
        if how == "expires":
            expire(task.id)
        else:
            queue.release(worker=other, task_id=task.id, result=queue.Result.SKIP)

    (leased,) = meanwhile([waiting(worker, project)], change)
    assert [one.id for one in leased.tasks] == [task.id]


def test_a_paused_project(worker, project):
    Project.objects.filter(pk=project.pk).update(paused=True)
    task = TaskFactory(project=project)
    resume = lambda: Project.objects.filter(pk=project.pk).update(paused=False)  # noqa: E731
    assert ids(meanwhile([waiting(worker, project)], resume)) == [[task.pk]]


def test_a_task_that_the_worker_has_verified(worker, project):
    mine = TaskFactory(project=project, verification_count=2)
    queue.lease(worker=worker.worker, project=project)
    queue.release(worker=worker.worker, task_id=mine.pk, result=queue.Result.OK, verification=5)
    other = lambda: TaskFactory(project=project, priority=-1)  # noqa: E731
    (leased,) = meanwhile([waiting(worker, project)], other)
    assert [task.id for task in leased.tasks] == [Task.objects.exclude(pk=mine.pk).get().pk]


def test_any_project(worker):
    projects = ProjectFactory.create_batch(3, public=True)
    work = queue.lease_anywhere.steps(worker=worker.worker, count=1, wait=LONG)
    (leased,) = meanwhile([work], lambda: TaskFactory(project=projects[1]))
    assert [task.project.pk for task in leased.tasks] == [projects[1].pk]


def test_exchange(worker, project):
    held = TaskFactory(project=project)
    queue.lease(worker=worker.worker, project=project)
    report = queue.Report(held.pk, queue.Result.OK)
    work = queue.exchange.steps(worker=worker.worker, project_id=project.pk, count=1, reports=[report], wait=LONG)
    ((released, leased, _),) = meanwhile([work], lambda: TaskFactory(project=project))
    assert [one.updated for one in released] == [True]
    assert [task.id for task in leased.tasks] == [Task.objects.get().pk]


def test_a_rate_limit(worker):
    """It is waited for as well: the second lease comes when the rate allows it."""
    project = ProjectFactory(public=True, assign_rate=2.0)
    TaskFactory.create_batch(5, project=project)
    outcomes = meanwhile([waiting(register(), project) for _ in range(3)])
    assert list(map(len, ids(outcomes))) == [1, 1, 1]


def test_a_worker_that_is_paused_meanwhile(worker, project):
    def change():
        Worker.objects.filter(pk=worker.worker.pk).update(paused=True)
        TaskFactory(project=project)

    assert [type(one) for one in meanwhile([waiting(worker, project)], change)] == [queue.WorkerPaused]
    exchange = queue.exchange.steps(worker=worker.worker, project_id=project.pk, count=1, reports=[], wait=LONG)
    ((_, leased, _),) = meanwhile([exchange])
    assert leased.reason == "worker_paused"


def test_a_worker_that_is_deleted_meanwhile(worker, project):
    def change():
        Worker.objects.filter(pk=worker.worker.pk).delete()
        TaskFactory(project=project)

    assert [type(one) for one in meanwhile([waiting(worker, project)], change)] == [UnknownWorker]


@pytest.mark.parametrize("anywhere", [False, True])
def test_nobody_waits_at_its_limit(anywhere, worker):
    project = ProjectFactory(max_leases=1)
    TaskFactory.create_batch(2, project=project)
    queue.lease(worker=worker.worker, project=project)
    anything = queue.lease_anywhere.steps(worker=worker.worker, count=1, wait=LONG)
    (leased,) = meanwhile([anything if anywhere else waiting(worker, project)])
    assert (leased.reason, leased.waited) == ("too_many_leases", False)


def test_nobody_waits_without_access(worker):
    project = ProjectFactory(public=False)
    (leased,) = meanwhile([waiting(worker, project)])
    assert (leased.reason, leased.waited) == ("no_access", False)


def test_what_there_is(project):
    """The statement of the looks: fresh tasks, and those that some workers can't have."""
    TaskFactory.create_batch(5, project=project)
    TaskFactory.create_batch(2, project=project, verification_count=2, voters=[SOMEBODY], votes=[5])
    for _ in range(2):
        task = queue.lease(worker=register().worker, project=project)
    expire(task.id)
    other = ProjectFactory()
    rows = db.rows(READY.statement, {"keys": db.array([project.pk, other.pk]), "amounts": db.array([3, 3])})
    assert rows == [(project.pk, 4, 2)]
    Project.objects.filter(pk=project.pk).update(paused=True)
    assert db.rows(READY.statement, {"keys": db.array([project.pk]), "amounts": db.array([1])}) == []
