"""Making delayed tasks ready at once: one, many, and in the admin."""

from datetime import UTC, datetime

import pytest

from projects.models import Project
from projects.roles import Role
from tasks import maintenance, queue
from tasks.models import Task
from tasks.queries.search import Criteria, State
from tests.factories import TaskFactory, register

pytestmark = pytest.mark.django_db

LATER = datetime(2200, 1, 1, tzinfo=UTC)


@pytest.fixture
def maintainer(browser, manager, project):
    return browser(manager, project, Role.READ | Role.MAINTENANCE)


@pytest.fixture
def tasks(project):
    """Two delayed tasks, one with priority 3; a failed one."""
    return [
        TaskFactory(project=project, status=3, run_at=LATER),
        TaskFactory(project=project, status=3, run_at=LATER, priority=3),
        TaskFactory(project=project, status=2),
    ]


def states(tasks):
    return [Task.objects.values_list("status", flat=True).get(pk=task.pk) for task in tasks]


def text(response):
    return " ".join(response.content.decode().split())


def test_on_the_page_of_a_task(maintainer, project, tasks):
    address = f"/tasks/{tasks[0].pk}/"
    assert "Run now" in text(maintainer.get(address))
    answer = maintainer.post(address, {"do": "run_now"}, follow=True)
    assert "The task was changed." in text(answer)
    assert "Run now" not in text(answer)
    assert states(tasks) == [1, 3, 2]
    assert Task.objects.get(pk=tasks[0].pk).run_at is None
    assert queue.lease(project=project, worker=register().worker).id == tasks[0].pk
    answer = maintainer.post(address, {"do": "run_now"}, follow=True)
    assert "no longer in that state" in text(answer)


@pytest.mark.parametrize(
    ("fields", "after"),
    [({"all": "yes"}, [1, 1, 2]), ({"all": "yes", "filters": "?priority=3"}, [3, 1, 2]), ({"task": 0}, [1, 3, 2])],
)
def test_many(maintainer, project, tasks, fields, after, monkeypatch):
    monkeypatch.setattr(maintenance, "BATCH", 1)
    fields = fields | {"do": "run_now"} | ({"task": tasks[0].pk} if "task" in fields else {})
    address = f"/projects/{project.pk}/tasks/change/"
    assert maintainer.post(address, fields).context["affected"] == after.count(1)
    assert states(tasks) == [3, 3, 2]
    assert maintainer.post(address, fields | {"confirmed": "yes"}).status_code == 302
    assert states(tasks) == after


def test_in_the_admin(admin, tasks):
    address = f"/admin/tasks/task/{tasks[0].pk}/"
    assert "act/run_now/" in text(admin.get(f"{address}change/"))
    assert "act/run_now/" not in text(admin.get(f"/admin/tasks/task/{tasks[2].pk}/change/"))
    admin.post(f"{address}act/run_now/", {"confirmed": "yes"})
    assert states(tasks) == [1, 3, 2]
    sent = {"action": "run_now", "_selected_action": [task.pk for task in tasks], "select_across": "1"}
    assert "1 task" in text(admin.post("/admin/tasks/task/", sent))
    admin.post("/admin/tasks/task/", sent | {"confirmed": "yes"})
    assert states(tasks) == [1, 1, 2]


def test_only_with_maintenance(browser, manager, project, tasks):
    reader = browser(manager, project, Role.READ)
    assert "Run now" not in text(reader.get(f"/tasks/{tasks[0].pk}/"))
    assert reader.post(f"/tasks/{tasks[0].pk}/", {"do": "run_now"}).status_code == 403
    assert states(tasks) == [3, 3, 2]


def test_criteria_are_checked_again(project, tasks, monkeypatch):
    """Between the search and the change, a task may have got another priority."""
    criteria = Criteria([project.pk], states=(State.DELAYED,), priority=3)
    found = maintenance.search.find_all

    def find(*arguments, **options):
        ids = [one for batch in found(*arguments, **options) for one in batch]
        Task.objects.filter(pk=tasks[1].pk).update(priority=4, rank=4)
        return [ids]

    monkeypatch.setattr(maintenance.search, "find_all", find)
    assert maintenance.run_now_matching(criteria) == 0
    assert states(tasks) == [3, 3, 2]


def test_with_ageing_it_waits_from_now_on(api, submitter, project):
    Project.objects.update(ageing_seconds=60)
    for recipe, delay in (("later", {"delay": 3600}), ("now", {})):
        assert api.post("/task/submit", {"project": project.pk, "recipe": recipe} | delay, worker=submitter).ok
    given_back = TaskFactory(project=project, status=3, run_at=LATER, head_start=5)
    assert maintenance.run_now_matching(Criteria([project.pk], states=(State.DELAYED,))) == 2
    ranks = dict(Task.objects.values_list("recipe", "rank"))
    assert ranks["later"] == pytest.approx(ranks["now"], abs=2)
    assert Task.objects.get(pk=given_back.pk).rank == 5
