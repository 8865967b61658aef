"""Ageing: tasks that wait gain on those with a higher priority."""

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import Project
from tasks import maintenance, queue
from tasks.models import Ageing, Task
from tasks.queries import search
from tasks.queries.search import Criteria, State
from tasks.queue import ageing
from tasks.queue.ageing import rank_by_age
from tests.factories import ProjectFactory, TaskFactory, grant, register

pytestmark = pytest.mark.django_db

HOUR = 3600


@pytest.fixture(autouse=True)
def _without_pause(monkeypatch):
    # The time stands still within a test.
    monkeypatch.setattr(ageing, "PAUSE_SECONDS", 0)


@pytest.fixture
def submitter(worker, project):
    grant(worker, project, submit=True)
    return worker.worker


def age(seconds, project=None):
    Project.objects.filter(**({"pk": project.pk} if project else {})).update(ageing_seconds=seconds)


def rank():
    while rank_by_age():
        pass


def older(hours, **columns):
    """A task that has waited so many hours."""
    task = TaskFactory(**columns)
    Task.objects.filter(pk=task.pk).update(created=timezone.now() - timedelta(hours=hours))
    return task


def leased(project):
    """The order in which the project's tasks are leased."""
    worker = register().worker
    return [task.id for task in queue.lease_many(worker=worker, project_id=project.pk, count=50).tasks]


def test_waiting_raises_priority(project):
    new = [TaskFactory(project=project, priority=priority) for priority in (2, 1, 0)]
    # Has gained 3 or 4 steps: more than 2, and less than 5.
    old = older(3.5, project=project, priority=0)
    high = TaskFactory(project=project, priority=5)
    age(HOUR)
    rank()
    assert leased(project) == [high.pk, old.pk, *(task.pk for task in new)]


def test_off_by_default(project):
    old, new = older(1000, project=project), TaskFactory(project=project, priority=1)
    rank()
    assert not Ageing.objects.exists()
    assert leased(project) == [new.pk, old.pk]


def test_submits_take_part(project, submitter):
    age(HOUR)
    old = older(2.5, project=project)
    rank()
    low, high = (
        queue.submit(worker=submitter, project_id=project.pk, task=queue.NewTask("x", priority=priority))
        for priority in (1, 4)
    )
    bulk = [queue.NewTask("x", priority=1), queue.NewTask("y", priority=5)]
    stored = queue.submit_many(worker=submitter, project_id=project.pk, tasks=bulk)
    assert leased(project) == [stored[1].id, high, old.pk, low, stored[0].id]


def test_a_delayed_task_waits_from_its_time_on(project, submitter):
    age(HOUR)
    late = queue.NewTask("late", timing='{"delay": 7200}')
    at_once = queue.submit(worker=submitter, project_id=project.pk, task=queue.NewTask("now"))
    single = queue.submit(worker=submitter, project_id=project.pk, task=late)
    (bulk,) = queue.submit_many(worker=submitter, project_id=project.pk, tasks=[late])
    ranks = dict(Task.objects.values_list("pk", "rank"))
    assert ranks[single] == ranks[bulk.id] == ranks[at_once] - 2


@pytest.mark.parametrize("many", [False, True])
def test_chains_rank_by_the_next_project(project, worker, many):
    following = ProjectFactory(ageing_seconds=HOUR)
    Project.objects.filter(pk=project.pk).update(chain=following)
    TaskFactory(project=project, priority=4)
    (task,) = queue.lease_many(worker=worker.worker, project_id=project.pk, count=1).tasks
    if many:
        queue.release_many(worker=worker.worker, reports=[queue.Report(task.id, queue.Result.OK)])
    else:
        queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
    copy = Task.objects.get(project=following)
    steps = timezone.now().timestamp() // HOUR
    assert copy.rank - 4 in (-steps, -steps + 1)


def test_a_change_ranks_all_states(project, worker):
    voted = older(3, project=project, verification_count=2, voters=[-1], votes=[1])
    failed = older(2, project=project, status=2)
    held = older(1, project=project, priority=9)
    queue.lease(project=project, worker=worker.worker)
    other = TaskFactory(project=ProjectFactory())
    age(HOUR, project)
    rank()
    for task in (voted, failed, held):
        task.refresh_from_db()
        assert task.head_start == -(task.created.timestamp() // HOUR)
    other.refresh_from_db()
    assert other.head_start is None
    assert Ageing.objects.values_list("project", "seconds", "after").get() == (project.pk, HOUR, None)
    age(0)
    rank()
    assert not Task.objects.exclude(head_start=None).exists()
    assert not Ageing.objects.exists()


def test_in_batches(project, monkeypatch):
    monkeypatch.setattr(ageing, "BATCH", 2)
    TaskFactory.create_batch(5, project=project)
    age(HOUR)
    assert [rank_by_age() for _ in range(4)] == [2, 2, 1, 0]
    assert not Task.objects.filter(head_start=None).exists()
    assert rank_by_age() == 0


def test_not_before_submits_by_the_old_setting_have_ended(project, monkeypatch):
    monkeypatch.setattr(ageing, "PAUSE_SECONDS", 5)
    TaskFactory(project=project)
    age(HOUR)
    assert rank_by_age() == 0
    Ageing.objects.update(noticed=timezone.now() - timedelta(seconds=9))
    assert rank_by_age() == 1


def test_another_change_begins_anew(project):
    TaskFactory(project=project)
    age(HOUR)
    rank()
    first = Task.objects.get().rank
    age(2 * HOUR)
    rank()
    assert abs(Task.objects.get().rank - first / 2) <= 1


def test_priority_can_be_changed(project):
    age(HOUR)
    task = older(2, project=project)
    rank()
    before = Task.objects.get().rank
    assert maintenance.set_priority_of_matching(Criteria([project.pk]), priority=7) == 1
    task.refresh_from_db()
    assert (task.priority, task.rank) == (7, before + 7)


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_a_search_goes_in_the_order_of_leasing(project, limit):
    tasks = [older(hours, project=project, priority=n % 3) for n, hours in enumerate((9, 0, 3, 3, 0, 2))]
    age(HOUR)
    rank()
    found, after = [], None
    while True:
        page = search.find(Criteria([project.pk], states=(State.READY,)), after=after, limit=limit)
        found += page.ids
        after = page.following
        if after is None:
            break
    assert sorted(found) == [task.pk for task in tasks]
    assert found == leased(project)


@pytest.mark.parametrize("aged", [True, False])
def test_a_search_by_priority(project, aged):
    tasks = [older(hours, project=project, priority=n % 2) for n, hours in enumerate((9, 0, 3, 5))]
    if aged:
        age(HOUR)
        rank()
    found = search.find(Criteria([project.pk], states=(State.READY,), priority=1), limit=9)
    assert sorted(found.ids) == [tasks[1].pk, tasks[3].pk]
