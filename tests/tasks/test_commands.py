"""manage.py queue_status and export_closed."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db.models.functions import Now

from tasks import queue
from tasks.management.commands.export_closed import closed_tasks
from tasks.management.commands.queue_status import _age
from tasks.models import ClosedTask, Task
from tasks.queue.upkeep import fold_closed
from tests.factories import ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db


def close(project, worker, *recipes, verification=0):
    for recipe in recipes:
        TaskFactory(project=project, recipe=recipe)
        task = queue.lease(project=project, worker=worker)
        queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=verification)


# queue_status


@pytest.fixture
def busy(worker, other_worker):
    """A project with tasks in every state."""
    project = ProjectFactory(name="busy")
    TaskFactory(project=project, priority=3)
    queue.lease(project=project, worker=other_worker.worker)
    close(project, worker.worker, "a", "b")
    fold_closed()
    close(project, worker.worker, "c")
    TaskFactory(project=project, priority=2, verification_count=2)
    task = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
    TaskFactory(project=project, status=Task.Status.FAILED)
    TaskFactory(project=project)
    Task.objects.filter(assignee=None).update(created=Now() - timedelta(hours=3))
    return project


def test_status_as_json(manage, busy):
    idle = ProjectFactory(name="idle", paused=True)
    first, second = map(json.loads, manage("queue_status", "--json").splitlines())
    assert 3 * 3600 - 60 < first.pop("oldest") < 3 * 3600 + 60
    assert first == {
        "id": busy.pk,
        "name": "busy",
        "paused": False,
        "ready": 2,
        "awaiting": 1,
        "leased": 1,
        "failed": 1,
        "closed": 3,
    }
    assert second == {
        "id": idle.pk,
        "name": "idle",
        "paused": True,
        "ready": 0,
        "awaiting": 0,
        "leased": 0,
        "failed": 0,
        "closed": 0,
        "oldest": None,
    }


def test_status_as_table(manage, busy):
    idle = ProjectFactory(name="idle", paused=True)
    heading, first, second = manage("queue_status").splitlines()
    assert heading.split() == ["id", "project", "ready", "awaiting", "leased", "failed", "closed", "oldest"]
    assert first.split() == [str(busy.pk), "busy", "2", "1", "1", "1", "3", "3", "h"]
    assert second.split() == [str(idle.pk), "idle", "(paused)", "0", "0", "0", "0", "0", "–"]


def test_status_is_ordered_by_name(manage):
    for name in ("b", "c", "a"):
        ProjectFactory(name=name)
    assert [json.loads(line)["name"] for line in manage("queue_status", "--json").splitlines()] == ["a", "b", "c"]


def test_status_without_projects(manage):
    assert manage("queue_status") == "No projects yet; create_project makes one.\n"
    assert manage("queue_status", "--json") == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.2, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "60 min"), (3600, "1 h"), (864000, "10 d")],
)
def test_age_is_in_its_largest_unit(seconds, shown):
    assert _age(seconds) == shown


@pytest.mark.parametrize("name", ["[red]brackets[/red]", "[/b]", "\U0001f680", ":bug:", "x" * 200])
def test_status_shows_names_as_they_are(manage, name):
    ProjectFactory(name=name)
    assert name in manage("queue_status")


# export_closed


def test_exports_closed_tasks_with_the_oldest_first(manage, project, worker):
    close(project, worker.worker, "a", "b")
    close(ProjectFactory(), worker.worker, "elsewhere")
    TaskFactory(project=project)
    newer, older = ClosedTask.objects.filter(project=project).order_by("id")
    ClosedTask.objects.filter(pk=older.pk).update(closed=Now() - timedelta(hours=1))
    older.refresh_from_db()
    first, second = map(json.loads, manage("export_closed", project.name).splitlines())
    assert first == {
        "id": older.pk,
        "recipe": "b",
        "priority": 0,
        "retries": 0,
        "hash64": None,
        "verification": 0,
        "worker_id": worker.worker.pk,
        "voters": [],
        "votes": [],
        "created": older.created.timestamp(),
        "assign_time": older.assign_time.timestamp(),
        "closed": older.closed.timestamp(),
    }
    assert second["id"] == newer.pk


def test_exports_votes_and_hashes(manage, project):
    first, second, third = (register().worker for _ in range(3))
    TaskFactory(project=project, recipe="x\ny", hash64=-(2**63), priority=-5, verification_count=2)
    for worker, verification in ((first, 2**63 - 1), (second, -1), (third, -1)):
        task = queue.lease(project=project, worker=worker)
        queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=verification)
    (line,) = manage("export_closed", str(project.pk)).splitlines()
    task = json.loads(line)
    assert (task["recipe"], task["hash64"], task["priority"]) == ("x\ny", -(2**63), -5)
    assert (task["verification"], task["worker_id"]) == (-1, third.pk)
    assert (task["voters"], task["votes"]) == ([first.pk, second.pk], [2**63 - 1, -1])


def test_exports_in_batches(project, worker):
    TaskFactory.create_batch(20, project=project)
    for count in (7, 1, 12):
        tasks = queue.lease_many(worker=worker.worker, project_id=project.pk, count=count).tasks
        # All tasks of one release are closed at the same moment.
        reports = [queue.Report(task.id, queue.Result.OK) for task in tasks]
        queue.release_many(worker=worker.worker, reports=reports)
    expected = list(ClosedTask.objects.order_by("closed", "pk").values_list("pk", flat=True))
    for batch in (1, 3, 7, 19, 20, 21):
        assert [task["id"] for task in closed_tasks(project, batch=batch)] == expected


def test_export_without_closed_tasks_is_empty(manage, project):
    assert manage("export_closed", project.name) == ""


def test_export_of_an_unknown_project(manage):
    with pytest.raises(CommandError, match="There is no project"):
        manage("export_closed", "no such")
