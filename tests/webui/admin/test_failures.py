"""Groups of failures in the admin, and the list of tasks filtered by one."""

from html import unescape

import pytest

from tasks.models import FailureGroup, Task
from tasks.queue.tallying import fold_outcomes
from tests.factories import FailureGroupFactory, TaskFactory
from tests.tasks.test_failures import fail
from webui.admin.failures import FailureGroupAdmin

pytestmark = pytest.mark.django_db

LIST = "tasks/failuregroup/"
TASKS = "tasks/task/"


def messages(rows):
    return [row.group.message for row in rows]


@pytest.fixture
def key(scoped, project, worker):
    """The fingerprint of three tasks that failed alike; others are failed for another reason, or ready."""
    fail(project, worker, "a", "a", "a", "b")
    TaskFactory.create_batch(2, project=project)
    (row,) = [row for row in scoped.rows(LIST) if row.group.message == "a"]
    return row.group.key


def test_it_works(scoped, project, worker, key):
    page = unescape(scoped.get(LIST))
    assert f'href="/projects/{project.pk}/failures/{key}/"' in page
    assert f'<a class="goes" href="/admin/tasks/task/?project={project.pk}&failure={key}">3</a>' in page
    assert ">error<" in page


def test_right_after_the_failure(scoped, project, worker):
    fail(project, worker, "x")
    assert not FailureGroup.objects.exists()
    assert messages(scoped.rows(LIST)) == ["x"]
    fold_outcomes()
    assert messages(scoped.rows(LIST)) == ["x"]


def test_by_project(admin, project, foreign, worker):
    fail(project, worker, "here")
    fail(foreign, worker, "there")
    assert messages(admin.rows(LIST)) == ["there", "here"]
    assert messages(admin.rows(f"{LIST}?project={project.pk}")) == ["here"]
    assert messages(admin.rows(f"{LIST}?project=x")) == []
    assert "project: must be a whole number" in admin.get(f"{LIST}?project=x")


def test_pagination(scoped, project, worker, monkeypatch):
    monkeypatch.setattr(FailureGroupAdmin, "list_per_page", 2)
    fail(project, worker, *"abcde")
    assert messages(scoped.all_pages(LIST)) == list("edcba")


def test_it_is_read_only(scoped, project):
    row = FailureGroupFactory(project=project)
    scoped.get(f"{LIST}{row.pk}/change/", status=403)
    scoped.get(f"{LIST}add/", status=403)
    scoped.get(f"{LIST}{row.pk}/delete/", status=403)


def test_tasks_of_a_group(scoped, key):
    assert len(scoped.rows(f"{TASKS}?failure={key}")) == 3
    assert len(scoped.rows(f"{TASKS}?failure={key}&state=failed")) == 3
    assert scoped.rows(f"{TASKS}?failure={key}&state=ready") == []
    assert scoped.rows(f"{TASKS}?failure={'0' * 16}") == []


def test_no_fingerprint_finds_nothing(scoped, key):
    """It must not match every task, for actions apply to what matches."""
    assert scoped.rows(f"{TASKS}?failure=x") == []
    assert "failure: must be a fingerprint" in scoped.get(f"{TASKS}?failure=x")
    answer = scoped.act(f"{TASKS}?failure=x", "delete", Task.objects.all()[:1], select_across="1")
    assert "failure: must be a fingerprint" in scoped.say(answer)
    assert Task.objects.count() == 6


@pytest.mark.parametrize(
    ("action", "fields", "left"),
    [
        ("retry", {}, {"ready": 5, "failed": 1, "urgent": 0}),
        ("set_priority", {"priority": "7"}, {"ready": 2, "failed": 4, "urgent": 3}),
        ("delete", {}, {"ready": 2, "failed": 1, "urgent": 0}),
    ],
)
def test_acting_on_a_group(scoped, key, action, fields, left):
    chosen = scoped.rows(f"{TASKS}?failure={key}")[:1]
    response = scoped.act(f"{TASKS}?failure={key}", action, chosen, select_across="1", **fields)
    assert "3 tasks were changed." in scoped.say(response)
    counted = {
        "ready": Task.objects.filter(status=1).count(),
        "failed": Task.objects.filter(status=2).count(),
        "urgent": Task.objects.filter(priority=7).count(),
    }
    assert counted == left


def test_a_tasks_page_says_why(scoped, project, key):
    failed = Task.objects.filter(status=2).order_by("pk").first()
    page = scoped.get(f"{TASKS}{failed.pk}/change/")
    assert f'<a class="goes" href="/projects/{project.pk}/failures/{key}/">{key}</a>' in page
    ready = Task.objects.filter(status=1).first()
    assert "/failures/" not in scoped.get(f"{TASKS}{ready.pk}/change/").partition('id="content"')[2]
