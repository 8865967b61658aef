"""The page of a task that was cancelled."""

import pytest

from projects.roles import Role
from tasks import maintenance, queue
from tasks.models import Attempt
from tasks.queries.search import Criteria
from tests.factories import ProjectFactory, TaskFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(browser, manager, project):
    return browser(manager, project, Role.READ | Role.MAINTENANCE)


def cancel(project):
    assert maintenance.cancel_matching(Criteria([project.pk]), seconds=5).number == 1


def text(response):
    return " ".join(response.content.decode().split())


def test_while_nobody_held_it(reader, project):
    task = TaskFactory(project=project)
    cancel(project)
    page = reader.get(f"/tasks/{task.pk}/")
    assert page.status_code == 200
    shown = text(page)
    assert "cancelled</span> </h2>" in shown
    assert f"{Attempt.objects.get().ended:%Y-%m-%d %H:%M:%S} UTC" in shown
    assert "a manager" not in shown
    ((event, one),) = page.context["events"]
    assert (str(event.label), one) == ("cancelled", None)


def test_while_a_worker_held_it(reader, project, worker):
    task = TaskFactory(project=project, max_retries=9)
    queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.pk, result=queue.Result.FAIL, verification=0)
    queue.lease(project=project, worker=worker.worker)
    cancel(project)
    page = reader.get(f"/tasks/{task.pk}/")
    labels = [(str(event.label), one.alias) for event, one in page.context["events"]]
    assert labels == [("failed", "worker"), ("cancelled", "worker")]


def test_who_sees_it(visitor, browser, project):
    hidden = ProjectFactory(secluded=True)
    open_one, hidden_one = TaskFactory(project=project), TaskFactory(project=hidden)
    cancel(project)
    cancel(hidden)
    manager = browser(UserFactory())
    for task, status in ((open_one, 403), (hidden_one, 404)):
        assert visitor.get(f"/tasks/{task.pk}/").status_code == 302
        assert manager.get(f"/tasks/{task.pk}/").status_code == status
    assert browser(UserFactory(), hidden, Role.READ).get(f"/tasks/{hidden_one.pk}/").status_code == 200
    assert browser(UserFactory(), hidden, Role.MAINTENANCE).get(f"/tasks/{hidden_one.pk}/").status_code in (403, 404)


def test_it_can_not_be_changed(reader, project):
    task = TaskFactory(project=project)
    cancel(project)
    assert reader.post(f"/tasks/{task.pk}/", {"do": "retry"}).status_code == 404


def test_as_long_as_that_is_kept(reader, project):
    task = TaskFactory(project=project)
    cancel(project)
    Attempt.objects.all().delete()
    assert reader.get(f"/tasks/{task.pk}/").status_code == 404
