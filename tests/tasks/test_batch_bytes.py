"""MAX_BATCH_BYTES: the tasks of a lease have only so many bytes; the others come with the next call."""

import orjson
import pytest

from projects.models import Project
from tasks import queue
from tasks.models import Task
from tasks.queue import frontier, leasing
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, expire, register
from tracker import db

pytestmark = pytest.mark.django_db

KILOBYTE = 1_000
# Apart from its recipe, a task of these tests has nearly that many.
REST = leasing.OVERHEAD + 50


@pytest.fixture(autouse=True)
def bound(settings):
    settings.MAX_BATCH_BYTES = 10 * KILOBYTE


def fill(project, sizes, **columns):
    return [TaskFactory(project=project, recipe="x" * (size - REST), **columns) for size in sizes]


def lease(worker, project, count=1000, **options):
    return queue.lease_many(worker=worker.worker, project_id=project.pk, count=count, **options)


def ids(tasks):
    return [task.pk if isinstance(task, Task) else task.id for task in tasks]


def test_it_works(both_doors, worker, project):
    tasks = fill(project, [2 * KILOBYTE] * 12)
    sizes, leased = [], []
    for _ in range(3):
        answer = both_doors.get(f"/task/get/{project.pk}?count=1000", worker=worker)
        sizes.append(len(orjson.dumps(answer.json)))
        leased.append([task["id"] for task in answer.content["tasks"]])
    assert list(map(len, leased)) == [5, 5, 2]
    assert [*leased[0], *leased[1], *leased[2]] == ids(tasks)
    assert max(sizes) < 11 * KILOBYTE
    assert Task.objects.filter(assignee=None).count() == 0


def test_the_rest_is_not_leased(worker, project):
    fill(project, [4 * KILOBYTE] * 3)
    leased = lease(worker, project)
    assert leased.filled
    assert set(Task.objects.exclude(assignee=None).values_list("pk", flat=True)) == set(ids(leased.tasks))
    assert len(leased.tasks) == 2


def test_one_task_always_comes(worker, project):
    first, second = fill(project, [50 * KILOBYTE, 50 * KILOBYTE])
    assert ids(lease(worker, project).tasks) == [first.pk]
    assert ids(lease(worker, project, count=1).tasks) == [second.pk]


def test_a_small_one_does_not_overtake_a_large_one(worker, project):
    small, large, _behind = fill(project, [KILOBYTE, 20 * KILOBYTE, KILOBYTE])
    assert ids(lease(worker, project).tasks) == [small.pk]
    assert ids(lease(worker, project).tasks) == [large.pk]


def test_characters_count_as_utf8(worker, project):
    TaskFactory.create_batch(10, project=project, recipe="€" * KILOBYTE)
    assert len(lease(worker, project).tasks) == 2


def test_what_each_task_says_of_its_project_counts(worker):
    """Also a message of the day from before there was a limit."""
    project = ProjectFactory(motd="x" * 3 * KILOBYTE)
    TaskFactory.create_batch(10, project=project)
    assert len(lease(worker, project).tasks) == 2
    Project.objects.filter(pk=project.pk).update(motd="x" * 100 * KILOBYTE)
    assert len(lease(worker, project).tasks) == 1


def test_verified_and_expired_ones_count(worker, project):
    fresh, voted, expired = (
        *fill(project, [4 * KILOBYTE]),
        *fill(project, [4 * KILOBYTE], voters=[SOMEBODY], votes=[1], verification_count=2),
        *fill(project, [4 * KILOBYTE], priority=5),
    )
    assert ids(lease(register(), project, count=1).tasks) == [expired.pk]
    expire(expired)
    # Expired ones come last, whatever their priority.
    assert set(ids(lease(worker, project).tasks)) == {fresh.pk, voted.pk}
    assert ids(lease(worker, project).tasks) == [expired.pk]


def test_by_priority(worker, project):
    low, high = fill(project, [6 * KILOBYTE])[0], fill(project, [6 * KILOBYTE], priority=1)[0]
    assert ids(lease(worker, project).tasks) == [high.pk]
    assert ids(lease(worker, project).tasks) == [low.pk]


def test_exchange(both_doors, worker, project):
    fill(project, [4 * KILOBYTE] * 5)
    first = lease(worker, project).tasks
    body = {"project": project.pk, "count": 1000, "releases": [{"task_id": task.id, "result": 0} for task in first]}
    answer = both_doors.post("/task/exchange", body, worker=worker)
    assert (answer.content["updated"], len(answer.content["tasks"])) == (2, 2)
    assert Task.objects.filter(assignee=None).count() == 1


def test_any_project(both_doors, worker):
    """All of them together, and not one more of a project with a lower priority."""
    first, second, third = (ProjectFactory(priority=priority) for priority in (3, 2, 1))
    fill(first, [3 * KILOBYTE] * 2)
    fill(second, [3 * KILOBYTE] * 2)
    fill(third, [KILOBYTE] * 2)
    answer = both_doors.get("/task/get?count=1000", worker=worker)
    assert [task["project"]["id"] for task in answer.content["tasks"]] == [first.pk, first.pk, second.pk]


def test_the_frontier_does_not_pass_what_was_left(worker, project, monkeypatch):
    """While finding tasks is slow, those that a batch had no room for are found by the next call."""
    monkeypatch.setattr("tasks.queue.leasing._frontier", frontier.Frontier(lambda: 0.0))
    monkeypatch.setattr(frontier, "PAGES", 0)
    tasks = fill(project, [4 * KILOBYTE] * 5)
    assert [ids(lease(worker, project).tasks) for _ in range(3)] == [ids(tasks[:2]), ids(tasks[2:4]), ids(tasks[4:])]


def test_tokens_are_taken_for_what_was_leased(worker):
    project = ProjectFactory(assign_rate=1)
    fill(project, [4 * KILOBYTE] * 5)
    assert len(lease(worker, project).tasks) == 2
    (seconds,) = db.one("SELECT extract(epoch FROM next_at - now()) FROM projects_ratebucket")
    assert 0 < seconds <= 3
