"""/workers/."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from logs.models import Level, LogEntry
from projects.roles import Role
from tasks import queue
from tasks.models import ClosedTask, Task
from tests.factories import ProjectFactory, TaskFactory, register
from workers.models import Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    return register("attic").worker


def lease(worker, project, count=1):
    TaskFactory.create_batch(count, project=project)
    return [queue.lease(project=project, worker=worker) for _ in range(count)]


def said(client, worker):
    """The marks of a worker, and when it was last seen."""
    page = client.get("/workers/")
    (found,) = [row for row in page.context["rows"] if row[0].id == worker.pk]
    _stats, activity, marks = found
    for text, _kind in marks:
        assert text in page.content.decode()
    return [text for text, _kind in marks], activity


def test_it_works(visitor, worker, project):
    assert said(visitor, worker)[0] == ["holds no task"]
    assert "long ago, or never" in visitor.get("/workers/").content.decode()
    lease(worker, project, 2)
    marks, activity = said(visitor, worker)
    assert marks == ["holds 2 tasks"]
    assert 0 <= activity.ago < 60
    assert "0 s ago" in visitor.get("/workers/").content.decode()


def test_nobody_is_called_active(visitor, worker, project):
    lease(worker, project)
    assert ">active<" not in visitor.get("/workers/").content.decode()


def test_a_worker_that_was_killed(visitor, worker, project):
    """Its lease has run out, and it was not heard of since."""
    first, _second = lease(worker, project, 2)
    moments = {"assign_time": Now() - timedelta(hours=2), "lease_expires": Now() - timedelta(hours=1)}
    Task.objects.filter(pk=first.id).update(**moments)
    assert said(visitor, worker)[0] == ["holds 1 task", "holds 1 expired lease"]
    Task.objects.update(**moments)
    marks, activity = said(visitor, worker)
    assert marks == ["holds 2 expired leases"]
    assert 7190 < activity.ago < 7260
    assert "2 h ago" in visitor.get("/workers/").content.decode()


def test_counts_no_further_than_it_says(visitor, worker, project, monkeypatch):
    monkeypatch.setattr("webui.pages.workers.COUNTED", 3)
    lease(worker, project, 5)
    assert said(visitor, worker)[0] == ["holds 3+ tasks"]


def test_a_paused_worker(visitor, worker, project):
    lease(worker, project)
    Worker.objects.update(paused=True)
    assert said(visitor, worker)[0] == ["paused", "holds 1 task"]


def test_seen_by_what_it_closed(visitor, worker, project):
    (task,) = lease(worker, project)
    queue.release(worker=worker, task_id=task.id, result=queue.Result.OK)
    ClosedTask.objects.update(closed=Now() - timedelta(minutes=5))
    marks, activity = said(visitor, worker)
    assert marks == ["holds no task"]
    assert 290 < activity.ago < 360


def test_seen_by_its_last_log_entry(visitor, worker):
    """However many entries of others came later."""
    for ago in (50, 40):
        entry = LogEntry.objects.create(worker=worker, level=Level.INFO, scope="s", message="m", timestamp=1)
        LogEntry.objects.filter(pk=entry.pk).update(received=Now() - timedelta(days=ago))
    other = register("other").worker
    LogEntry.objects.bulk_create(
        LogEntry(worker=other, level=Level.INFO, scope="s", message="m", timestamp=1) for _ in range(6000)
    )
    assert 39.9 < said(visitor, worker)[1].ago / 86_400 < 40.1


def test_a_hidden_project_tells_nobody(visitor, browser, manager, worker):
    hidden = ProjectFactory(secluded=True)
    TaskFactory(project=hidden, assignee=worker, assign_time=Now(), lease_expires=Now(), lease=f"{1:032x}")
    assert said(visitor, worker) == (["holds no task"], (0, 0, 0, None, None))
    assert said(browser(manager, hidden, Role.READ), worker)[1].leases == 1
