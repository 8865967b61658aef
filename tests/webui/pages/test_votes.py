"""Votes on a task's page, and accepting a result by hand."""

import pytest

from projects.models import Project
from projects.roles import Role
from tasks import queue
from tasks.models import ClosedTask, Task
from tests.factories import TaskFactory, UserFactory, register
from workers.services import mark_operator

pytestmark = pytest.mark.django_db


@pytest.fixture
def maintainer(browser, manager, project):
    return browser(manager, project, Role.READ | Role.MAINTENANCE)


@pytest.fixture
def reader(browser, project):
    return browser(UserFactory(), project, Role.READ)


@pytest.fixture
def workers():
    return [register(alias).worker for alias in ("attic", "barn", "cellar")]


@pytest.fixture
def disputed(project, workers):
    """A task that failed since its workers disagreed."""
    Project.objects.update(max_votes=3)
    task = TaskFactory(project=project, verification_count=3)
    for worker, vote in zip(workers, [7, -9, 7], strict=True):
        queue.lease(project=project, worker=worker)
        queue.release(worker=worker, task_id=task.pk, result=queue.Result.OK, verification=vote)
    task.refresh_from_db()
    assert task.status == Task.Status.FAILED
    return task


def text(response):
    return " ".join(response.content.decode().split())


def told(response):
    return [str(message) for message in response.context["messages"]]


def accept(client, task, verification=7, **fields):
    path = f"/projects/{task.project_id}/tasks/{task.pk}/accept/"
    return client.post(path, {"verification": str(verification)} | fields, follow=True)


def test_each_hash_is_offered_once(maintainer, disputed, workers):
    page = maintainer.get(f"/tasks/{disputed.pk}/")
    votes = [(vote.worker.id, vote.verification, vote.number, vote.is_offered) for vote in page.context["votes"]]
    one, two, three = (worker.pk for worker in workers)
    assert votes == [(one, 7, 2, True), (two, -9, 1, True), (three, 7, 2, False)]
    shown = text(page)
    assert shown.count("Accept this result") == 2
    assert "2 votes" in shown
    assert "then these votes are dropped" in shown
    assert '<span class="mark bad">disagreement</span></h2>' in shown


def test_without_maintenance_nothing_is_offered(reader, disputed):
    shown = text(reader.get(f"/tasks/{disputed.pk}/"))
    assert "<code>-9</code>" in shown
    assert "Accept" not in shown


def test_accept_after_a_confirmation(maintainer, disputed, workers):
    page = accept(maintainer, disputed, -9)
    assert (page.context["agreeing"], page.context["others"], page.context["first"].alias) == (1, 2, "barn")
    assert "be undone" in text(page)
    assert Task.objects.filter(pk=disputed.pk).exists()
    page = accept(maintainer, disputed, -9, confirmed="yes")
    assert told(page) == ["The result was accepted, and the task is closed."]
    closed = ClosedTask.objects.get()
    assert (closed.verification, closed.worker_id, page.redirect_chain[-1][0]) == (
        -9,
        workers[1].pk,
        f"/tasks/{closed.pk}/",
    )
    assert text(page).count("outvoted") == 2


@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "yes"}])
def test_taken_meanwhile(maintainer, project, workers, confirmed):
    task = TaskFactory(project=project, voters=[workers[0].pk], votes=[7], verification_count=2)
    shown = text(maintainer.get(f"/tasks/{task.pk}/"))
    assert "Accept this result" in shown
    assert "retry the task" not in shown
    queue.lease(project=project, worker=workers[1])
    (problem,) = told(accept(maintainer, task, **confirmed))
    assert problem.startswith("Nothing was changed: the task is closed or gone, a worker holds it")
    assert Task.objects.get().votes == [7]
    assert "Accept this result" not in text(maintainer.get(f"/tasks/{task.pk}/"))


@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "yes"}])
def test_gone_meanwhile(maintainer, disputed, confirmed):
    Task.objects.all().delete()
    page = accept(maintainer, disputed, **confirmed)
    assert told(page)[0].startswith("Nothing was changed")
    assert page.redirect_chain[-1][0] == f"/projects/{disputed.project_id}/tasks/"


def test_of_another_project(admin, disputed, browser):
    other = TaskFactory()
    page = admin.post(f"/projects/{other.project_id}/tasks/{disputed.pk}/accept/", {"verification": "7"}, follow=True)
    assert told(page)[0].startswith("Nothing was changed")


@pytest.mark.parametrize("verification", ["", "x", "7.0", "1" * 30, str(2**63), "--7", "٣"])
def test_bad_hashes(maintainer, disputed, verification):
    answer = accept(maintainer, disputed, verification, confirmed="yes")
    assert answer.status_code == 400
    assert "verification" in text(answer)
    assert Task.objects.filter(pk=disputed.pk).exists()


def test_a_project_that_keeps_nothing(maintainer, disputed):
    disputed.project.retention_days = 0
    disputed.project.save()
    page = accept(maintainer, disputed, confirmed="yes")
    assert page.redirect_chain[-1][0] == f"/projects/{disputed.project_id}/tasks/"
    assert page.status_code == 200


def test_a_maintainer_without_read(browser, disputed):
    client = browser(UserFactory(), disputed.project, Role.MAINTENANCE)
    page = accept(client, disputed, confirmed="yes")
    assert page.status_code == 200
    assert ClosedTask.objects.exists()


def test_operators_are_shown(maintainer, disputed, workers):
    mark_operator(project=disputed.project, workers=[workers[0].pk], operator="<Ada>")
    assert "<bdi>&lt;Ada&gt;</bdi>" in text(maintainer.get(f"/tasks/{disputed.pk}/"))


def test_retry_says_that_votes_are_dropped(maintainer, disputed):
    fields = {"do": "retry", "task": disputed.pk}
    page = maintainer.post(f"/projects/{disputed.project_id}/tasks/change/", fields)
    assert "votes are dropped" in text(page)


def test_one_with_a_worker_that_the_task_is_not_for(maintainer, project, workers):
    task = TaskFactory(
        project=project, voters=[worker.pk for worker in workers], votes=[None, 0, None], verification_count=2
    )
    votes = maintainer.get(f"/tasks/{task.pk}/").context["votes"]
    assert [vote.is_offered for vote in votes] == [False, True, False]


def test_the_admin_leads_to_the_page(admin, disputed):
    assert f'href="/tasks/{disputed.pk}/"' in text(admin.get(f"/admin/tasks/task/{disputed.pk}/change/"))
