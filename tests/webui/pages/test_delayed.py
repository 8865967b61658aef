"""Delayed tasks, and those that failed while nobody held them, wherever the pages show tasks."""

import io
from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from projects.models import Snapshot
from projects.queries import Totals, newest_totals
from projects.roles import Role
from tasks.models import Task
from tasks.queue.delays import fail_expired
from tasks.queue.tallying import fold_outcomes
from tests.factories import ProjectFactory, TaskFactory

pytestmark = pytest.mark.django_db

LATER = datetime(2200, 1, 1, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
COUNTS = {
    "failed_task_count": 1,
    "closed_task_count": 0,
    "awaiting_verification_count": 0,
    "worker_access_count": 0,
}


@pytest.fixture
def reader(browser, manager, project):
    return browser(manager, project, Role.READ)


@pytest.fixture
def maintainer(browser, manager, project):
    return browser(manager, project, Role.READ | Role.MAINTENANCE)


@pytest.fixture
def delayed(project):
    return TaskFactory(project=project, status=Task.Status.DELAYED, run_at=LATER, recipe="melt snow")


def text(response):
    return " ".join(response.content.decode().split())


def test_tile_and_numbers(visitor, project, delayed):
    TaskFactory(project=project)
    page = visitor.get(f"/projects/{project.pk}/")
    assert "Delayed</dt><dd>1</dd>" in text(page)
    numbers = visitor.get(f"/projects/{project.pk}/numbers/").json()
    assert (numbers["now"]["ready"], numbers["now"]["delayed"], numbers["now"]["open"]) == (1, 1, 2)
    assert (numbers["ready"][-1], numbers["delayed"][-1]) == (1, 1)


def test_no_tile_where_nothing_was_delayed(visitor, project):
    TaskFactory(project=project)
    assert "Delayed</dt>" not in text(visitor.get(f"/projects/{project.pk}/"))


def test_the_tile_stays_while_the_chart_has_delayed_ones(visitor, project):
    Snapshot.objects.create(project=project, new_task_count=9, leased_task_count=2, delayed_task_count=3, **COUNTS)
    page = visitor.get(f"/projects/{project.pk}/")
    assert "Delayed</dt><dd>0</dd>" in text(page)
    numbers = visitor.get(f"/projects/{project.pk}/numbers/").json()
    assert (numbers["ready"][0], numbers["leased"][0], numbers["delayed"][0]) == (4, 2, 3)


def test_totals_from_snapshots():
    project = ProjectFactory()
    Snapshot.objects.create(project=project, new_task_count=9, leased_task_count=2, delayed_task_count=3, **COUNTS)
    assert newest_totals([project.pk], rate_seconds=60) == Totals(4, 2, 3, 1, 0, None)


def test_list_of_projects(visitor, project, delayed):
    page = visitor.get("/projects/")
    ((_project, now, _line),) = page.context["rows"]
    assert (now.delayed, now.ready, page.context["total"].delayed, page.context["total"].ready) == (1, 0, 1, 0)
    assert "Delayed</th>" in text(page)


def test_list_of_tasks(reader, project, delayed):
    TaskFactory(project=project)
    voted = TaskFactory(
        project=project, status=3, run_at=LATER.replace(day=2), voters=[1], votes=[5], verification_count=2
    )
    page = reader.get(f"/projects/{project.pk}/tasks/?state=delayed")
    assert [(row[0].pk, row[1]) for row in page.context["rows"]] == [(delayed.pk, "delayed"), (voted.pk, "delayed")]
    assert '>delayed</span> <br><span class="small subtle">ready at' in text(page)
    assert "2200-01-01 00:00:00 UTC" in text(page)


def test_page_of_a_task(reader, project, delayed):
    Task.objects.update(expires_at=LATER.replace(day=3))
    shown = text(reader.get(f"/tasks/{delayed.pk}/"))
    assert 'class="mark later">delayed</span>' in shown
    assert "Ready at</dt>" in shown
    assert "2200-01-01 00:00:00 UTC" in shown
    assert "Expires at</dt>" in shown
    assert "2200-01-03 00:00:00 UTC" in shown


def test_neither_ready_at_nor_expires_at(reader, project):
    shown = text(reader.get(f"/tasks/{TaskFactory(project=project).pk}/"))
    assert "Ready at" not in shown
    assert "Expires at" not in shown


@pytest.fixture
def expired(project):
    task = TaskFactory(project=project, expires_at=PAST)
    assert fail_expired() == 1
    return task


def failures(project):
    out = io.StringIO()
    call_command("failures", str(project.pk), stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("folded", [False, True])
def test_a_task_that_has_expired(maintainer, project, expired, folded):
    if folded:
        fold_outcomes()
    page = maintainer.get(f"/tasks/{expired.pk}/")
    assert '<span class="mark warn">task expired</span></h2>' in text(page)
    (_submitted, (event, one)) = page.context["events"]
    assert (str(event.label), event.reason, event.seconds, one) == ("failed", "task expired", None, None)
    dashboard = text(maintainer.get(f"/projects/{project.pk}/"))
    assert "task expired" in dashboard
    assert "deleted worker" not in dashboard
    (shown,) = maintainer.get(f"/projects/{project.pk}/failures/").context["groups"]
    group = text(maintainer.get(shown.address))
    assert "time to expire came" in group
    assert "deleted worker" not in group
    assert str(expired.pk) in group
    (line,) = [line for line in failures(project).splitlines() if "expired" in line]
    assert shown.group.key in line


# In the admin


def test_the_admins_list_and_page(admin, project, delayed):
    TaskFactory(project=project)
    page = admin.get("/admin/tasks/task/?state=delayed")
    assert [row.pk for row in page.context["cl"].result_list] == [delayed.pk]
    assert "2200-01-01 00:00:00 UTC" in text(page)
    shown = text(admin.get(f"/admin/tasks/task/{delayed.pk}/change/"))
    assert 'class="mark later">delayed</span>' in shown
    assert "2200-01-01 00:00:00 UTC" in shown


def test_the_admins_projects_and_snapshots(admin, project, delayed):
    Snapshot.objects.create(project=project, new_task_count=9, leased_task_count=2, delayed_task_count=345, **COUNTS)
    assert f"?project={project.pk}&amp;state=delayed" in text(admin.get("/admin/projects/project/"))
    assert "<span>delayed</span><b>1</b>" in text(admin.get(f"/admin/projects/project/{project.pk}/change/"))
    assert "345" in text(admin.get("/admin/projects/snapshot/"))
    sent = {"action": "hard_reset", "_selected_action": [project.pk]}
    assert "1 task" in text(admin.post("/admin/projects/project/", sent))
