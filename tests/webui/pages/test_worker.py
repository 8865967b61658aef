"""A worker's page, the tab of a project's workers, and putting back what a worker did."""

import pytest
from django.utils import timezone

from projects.access import set_roles
from projects.roles import Role
from tasks import queue
from tasks.models import ClosedTask, ClosedTotal, Task, WorkerTally
from tests.factories import ProjectFactory, TaskFactory, expire, grant, register
from webui.pages import worker as page

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)


@pytest.fixture
def client(browser, manager, project):
    return browser(manager, project, Role.READ | Role.MAINTENANCE)


def report(project, worker, result=OK, **options):
    task = queue.lease(worker=worker.worker, project=project)
    queue.release(worker=worker.worker, task_id=task.id, result=result, **options)
    return task.id


def tally(worker, project, **numbers):
    WorkerTally.objects.create(project=project, worker=worker.worker, hour=None, seen=timezone.now(), **numbers)
    ClosedTotal.objects.create(project=project, worker=worker.worker, count=numbers["closed"])


def text_of(response):
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


# --- The worker's page ---


def test_it_works(client, project, worker, other_worker):
    TaskFactory.create_batch(5, project=project, max_retries=9)
    report(project, worker)
    told = '{"message": "no <b>disk</b> left", "seconds": 0.25}'
    failed = report(project, worker, FAIL, told=told)
    busy = report(project, worker, SKIP, told='{"reason": 4}')
    held = queue.lease(project=project, worker=worker.worker).id
    shown = text_of(client.get(f"/workers/{worker.worker.pk}/"))
    assert f"Worker {worker.worker.pk}" in shown
    for task in (failed, busy, held):
        assert f'<a href="/tasks/{task}/">{task}</a>' in shown
    assert "no &lt;b&gt;disk&lt;/b&gt; left" in shown
    assert '<span class="mark bad">failed</span>' in shown
    assert '<span class="mark ">skipped: worker busy</span>' in shown
    assert "250 ms" in shown
    assert "50 %" in shown
    assert f"/workers/{worker.worker.pk}/put-back/{project.pk}/" in shown
    assert "Pause the worker" not in shown
    other = text_of(client.get(f"/workers/{other_worker.worker.pk}/"))
    assert other.count("Nothing in this time.") == 1
    assert "It holds no task." in other
    assert "None that is still kept." in other


@pytest.mark.parametrize(("period", "closed"), [("today", 1), ("24h", 1), ("all", 8), ("", 1), ("x", 1)])
def test_periods(client, project, worker, period, closed):
    TaskFactory(project=project)
    report(project, worker)
    ClosedTotal.objects.create(project=project, worker=worker.worker, count=7)
    for path in (f"/workers/{worker.worker.pk}/", f"/projects/{project.pk}/workers/"):
        (row,) = client.get(path, {"period": period}).context["rows"]
        assert row.figures.closed == closed


def test_only_what_one_may_see(browser, manager, project, worker):
    """A hidden project shows with READ; putting back takes MAINTENANCE as well."""
    hidden = ProjectFactory(secluded=True, name="nobody knows")
    grant(worker, hidden, assign=True)
    for _ in range(3):
        TaskFactory(project=hidden, max_retries=9)
    report(hidden, worker)
    report(hidden, worker, FAIL, told='{"message": "not for all"}')
    queue.lease(project=hidden, worker=worker.worker)
    client, path = browser(manager), f"/workers/{worker.worker.pk}/"
    shown = text_of(client.get(path))
    for secret in ("nobody knows", "not for all"):
        assert secret not in shown
    assert client.get(path).context["rows"] == client.get(path).context["leases"] == []
    assert client.get(path).context["activity"].seen is None
    set_roles(manager=manager, project=hidden, roles=Role.MAINTENANCE)
    assert client.get(path).context["rows"] == []
    set_roles(manager=manager, project=hidden, roles=Role.READ)
    shown = text_of(client.get(path))
    assert "nobody knows" in shown
    assert "not for all" in shown
    assert "put-back" not in shown


def test_single_tasks_need_read(browser, manager, project, worker):
    """As on their own pages. How many there were is told without it."""
    TaskFactory.create_batch(2, project=project, max_retries=9)
    report(project, worker, FAIL, told='{"message": "not for all"}')
    queue.lease(project=project, worker=worker.worker)
    client, path = browser(manager), f"/workers/{worker.worker.pk}/"
    response = client.get(path)
    assert [row.figures.failed for row in response.context["rows"]] == [1]
    assert response.context["leases"] == response.context["attempts"] == []
    assert "not for all" not in text_of(response)
    set_roles(manager=manager, project=project, roles=Role.READ)
    assert "not for all" in text_of(client.get(path))


def test_tasks_that_are_gone(client, project, worker):
    TaskFactory(project=project)
    task = report(project, worker, FAIL)
    assert f'<a href="/tasks/{task}/">' in text_of(client.get(f"/workers/{worker.worker.pk}/"))
    Task.objects.all().delete()
    shown = text_of(client.get(f"/workers/{worker.worker.pk}/"))
    assert f"<td>{task}</td>" in shown
    assert f"/tasks/{task}/" not in shown


def test_marks(client, project, worker, other_worker):
    tally(worker, project, closed=10, failed=90, agreed=50, outvoted=50)
    for one in (other_worker, register()):
        tally(one, project, closed=100, agreed=100)
    for path in (f"/workers/{worker.worker.pk}/", f"/projects/{project.pk}/workers/"):
        shown = text_of(client.get(f"{path}?period=all"))
        assert shown.count('class="mark bad"') == 2
        assert "fails often" in shown
        assert "disagrees often" in shown


def test_many_projects(client, worker, monkeypatch):
    monkeypatch.setattr(page, "PROJECTS", 2)
    for project in ProjectFactory.create_batch(3):
        tally(worker, project, closed=project.pk)
    response = client.get(f"/workers/{worker.worker.pk}/?period=all")
    assert "2 of 3 projects are listed" in text_of(response)
    counts = [row.figures.closed for row in response.context["rows"]]
    assert counts == [project.pk, project.pk - 1]


def test_many_leases_and_attempts(client, project, worker, monkeypatch):
    monkeypatch.setattr(page, "LEASES", 2)
    monkeypatch.setattr(page, "ATTEMPTS", 2)
    TaskFactory.create_batch(6, project=project, max_retries=9)
    for _ in range(3):
        report(project, worker, FAIL)
    queue.lease_many(worker=worker.worker, project_id=project.pk, count=3)
    response = client.get(f"/workers/{worker.worker.pk}/")
    assert "2 of 3 leases are listed" in text_of(response)
    assert len(response.context["leases"]) == len(response.context["attempts"]) == 2


def test_an_expired_lease(client, project, worker, other_worker):
    task = TaskFactory(project=project)
    queue.lease(project=project, worker=worker.worker)
    expire(task)
    queue.lease(project=project, worker=other_worker.worker)
    assert '<span class="mark warn">lease expired</span>' in text_of(client.get(f"/workers/{worker.worker.pk}/"))


def test_pause_and_resume(admin, browser, manager, worker):
    path = f"/workers/{worker.worker.pk}/"
    assert "Pause the worker" in text_of(admin.get(path))
    shown = text_of(admin.post(f"{path}pause/", follow=True))
    assert "from its next call on, it gets no work" in shown
    assert "Resume the worker" in shown
    worker.worker.refresh_from_db()
    assert worker.worker.paused
    assert browser(manager).post(f"{path}resume/").status_code == 403
    admin.post(f"{path}resume/")
    worker.worker.refresh_from_db()
    assert not worker.worker.paused
    assert admin.post("/workers/999999/pause/").status_code == 404


def test_no_such_worker(client):
    response = client.get("/workers/999999/")
    assert response.status_code == 404
    assert b"There is no worker 999999." in response.content


# --- The project's tab ---


def test_the_tab_is_for_managers(visitor, browser, manager, project):
    link = f'href="/projects/{project.pk}/workers/"'
    assert link not in text_of(visitor.get(f"/projects/{project.pk}/"))
    assert link in text_of(browser(manager).get(f"/projects/{project.pk}/"))


@pytest.mark.parametrize(("sort", "expected"), [("closed", [4, 3, 2, 1, 0]), ("failed", [0, 1, 2, 3, 4])])
def test_sorting_and_pages(client, project, monkeypatch, sort, expected):
    monkeypatch.setattr(page, "WORKERS_PER_PAGE", 2)
    workers = [register(f"worker {number}") for number in range(5)]
    ids = [worker.worker.pk for worker in workers]
    for number, worker in enumerate(workers):
        tally(worker, project, closed=number, failed=20 - number)
    workers[1].worker.delete()
    seen, shown, query = [], "", f"?period=all&sort={sort}"
    while query:
        response = client.get(f"/projects/{project.pk}/workers/{query}")
        seen += [row.figures.worker for row in response.context["rows"]]
        shown += text_of(response)
        assert bool(response.context["first"]) is ("after" in query)
        query = response.context["following"]
    assert seen == [ids[number] for number in expected]
    assert shown.count('aria-sort="descending"') == 3
    assert f"deleted worker {ids[1]}" in shown
    assert f'<a href="/workers/{ids[2]}/"><bdi>worker 2</bdi></a>' in shown


@pytest.mark.parametrize("after", ["x", "", "-1", "0", "9" * 30, "%00", "99999999"])
def test_a_wrong_place(client, project, after):
    response = client.get(f"/projects/{project.pk}/workers/?after={after}")
    assert response.status_code == 400
    assert b"no place in the list" in response.content


# --- Putting back ---


def test_put_back_what_it_closed(client, project, worker, other_worker):
    TaskFactory.create_batch(2, project=project)
    TaskFactory(project=project, hash64=7)
    for _ in range(3):
        report(project, worker)
    TaskFactory(project=project, hash64=7, verification_count=2)
    for one in (other_worker, worker):
        report(project, one)
    TaskFactory(project=project, hash64=7)
    path = f"/workers/{worker.worker.pk}/put-back/{project.pk}/"
    shown = text_of(client.get(path))
    assert "3 tasks that it closed alone are opened again. 1 stays closed, since another worker agreed." in shown
    assert "The worker is not paused" in shown
    assert ClosedTask.objects.count() == 4
    told = text_of(client.post(path, {"what": "closed"}, follow=True))
    assert "2 tasks are open again. 1 stays closed, since its hash was submitted again." in told
    assert ClosedTask.objects.count() == 2
    assert Task.objects.count() == 3


def test_put_back_its_votes(client, project, worker):
    TaskFactory(project=project, verification_count=2)
    report(project, worker)
    path = f"/workers/{worker.worker.pk}/put-back/{project.pk}/"
    shown = text_of(client.get(path))
    assert "Its vote is taken off 1 task that is not closed." in shown
    assert shown.count(" disabled>") == 1
    told = text_of(client.post(path, {"what": "votes"}, follow=True))
    assert "A vote was taken off 1 task." in told
    assert told.count(" disabled>") == 2
    assert "Nothing was changed." in text_of(client.post(path, {"what": "x"}, follow=True))


def test_putting_back_in_a_large_project(client, project, worker, monkeypatch):
    monkeypatch.setattr("tasks.putting_back.PREVIEWED", 1)
    TaskFactory.create_batch(2, project=project)
    report(project, worker)
    shown = text_of(client.get(f"/workers/{worker.worker.pk}/put-back/{project.pk}/"))
    assert "only a part was looked at" in shown
    assert " disabled>" not in shown


@pytest.mark.parametrize("roles", [Role(0), Role.READ, Role.EDIT | Role.MANAGE_ACCESS | Role.SECRET])
def test_putting_back_needs_maintenance(browser, manager, project, worker, roles):
    client = browser(manager, project, roles)
    TaskFactory(project=project)
    report(project, worker)
    path = f"/workers/{worker.worker.pk}/put-back/{project.pk}/"
    assert client.get(path).status_code == client.post(path, {"what": "closed"}).status_code == 403
    assert "put-back" not in text_of(client.get(f"/workers/{worker.worker.pk}/"))
    assert ClosedTask.objects.count() == 1
