"""manage.py queue_status."""

import json
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tasks import queue
from tasks.management.commands.queue_status import _age
from tasks.models import Task
from tasks.queue.upkeep import fold_closed
from tests.factories import ProjectFactory, TaskFactory

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
    TaskFactory(project=project, status=Task.Status.DELAYED, run_at="2200-01-01T00:00:00Z")
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
        "delayed": 1,
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
        "delayed": 0,
        "failed": 0,
        "closed": 0,
        "oldest": None,
    }


def test_status_as_table(manage, busy):
    idle = ProjectFactory(name="idle", paused=True)
    heading, first, second = manage("queue_status").splitlines()
    assert heading.split() == ["id", "project", "ready", "awaiting", "leased", "delayed", "failed", "closed", "oldest"]
    assert first.split() == [str(busy.pk), "busy", "2", "1", "1", "1", "1", "3", "3", "h"]
    assert second.split() == [str(idle.pk), "idle", "(paused)", "0", "0", "0", "0", "0", "0", "–"]


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
