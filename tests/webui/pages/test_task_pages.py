"""The pages of a project's tasks and results, and of one task."""

import json
from datetime import timedelta

import pytest
from django.db.models import F

from logs.models import LogEntry
from projects.roles import Role
from tasks import putting_back, queue
from tasks.fingerprints import text_of
from tasks.models import Attempt, ClosedTask, FailureGroup, Task
from tasks.queue.tallying import fold_outcomes
from tests.factories import ProjectFactory, TaskFactory, UserFactory, expire, register

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)


@pytest.fixture
def reader(browser, manager, project):
    return browser(manager, project, Role.READ)


@pytest.fixture
def maintainer(browser, other_manager, project):
    return browser(other_manager, project, Role.READ | Role.MAINTENANCE)


@pytest.fixture
def other_manager():
    return UserFactory()


def report(project, result, *, worker=None, verification=0, **told):
    worker = (worker or register("attic")).worker
    task = queue.lease(worker=worker, project=project)
    queue.release(
        worker=worker,
        task_id=task.id,
        result=result,
        verification=verification,
        told=json.dumps(told) if told else None,
    )
    return task.id


def text(response):
    return " ".join(response.content.decode().split())


# A project's tasks


def listed(response):
    return [row[0].pk for row in response.context["rows"]]


def test_tasks_by_state(reader, project):
    ready, leased, failed, awaiting = (
        TaskFactory(project=project, priority=-1),
        TaskFactory(project=project, priority=9),
        TaskFactory(project=project, status=2),
        TaskFactory(project=project, voters=[1], votes=[5], verification_count=2, priority=-2),
    )
    TaskFactory()
    queue.lease(project=project, worker=register().worker)
    url = f"/projects/{project.pk}/tasks/"
    assert set(listed(reader.get(url))) == {ready.pk, leased.pk, failed.pk, awaiting.pk}
    assert listed(reader.get(f"{url}?state=leased")) == [leased.pk]
    assert listed(reader.get(f"{url}?state=failed")) == [failed.pk]
    assert listed(reader.get(f"{url}?state=awaiting")) == [awaiting.pk]
    assert [row[1] for row in reader.get(f"{url}?state=awaiting").context["rows"]] == ["awaiting"]
    expire(leased)
    assert [row[1] for row in reader.get(f"{url}?state=leased").context["rows"]] == ["expired"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=needle", ["a needle"]),
        ("priority=3", ["three"]),
        ("retries=2", ["tried"]),
        ("q=%22%22", ["a needle", "three", "tried"]),
        ("state=failed&q=needle", []),
        ("worker=nobody", []),
    ],
)
def test_search(reader, project, query, found):
    TaskFactory(project=project, recipe="a needle")
    TaskFactory(project=project, recipe="three", priority=3)
    TaskFactory(project=project, recipe="tried", retries=2)
    response = reader.get(f"/projects/{project.pk}/tasks/?{query}")
    assert sorted(row[0].recipe_start for row in response.context["rows"]) == found
    assert ("No task matches" in text(response)) == (not found)


def test_pages_of_tasks(reader, project, monkeypatch):
    monkeypatch.setattr("webui.pages.task_list.PER_PAGE", 2)
    tasks = TaskFactory.create_batch(5, project=project)
    url, seen = f"/projects/{project.pk}/tasks/?q=%22%22", []
    for _ in range(3):
        response = reader.get(url)
        seen += listed(response)
        url = f"/projects/{project.pk}/tasks/{response.context['next']}"
    assert seen == [task.pk for task in tasks]
    assert response.context["next"] == ""


@pytest.mark.parametrize("query", ["state=closed", "priority=x", "retries=-1", "failure=a", "after=x"])
def test_bad_filters(reader, project, query):
    response = reader.get(f"/projects/{project.pk}/tasks/?{query}")
    assert response.status_code == 400


def test_failed_tasks_of_a_group(reader, project):
    TaskFactory.create_batch(3, project=project)
    for message in ("a", "b", "a"):
        report(project, FAIL, message=message)
    fold_outcomes()
    group = FailureGroup.objects.get(count=2)
    failed = Task.objects.filter(failure=group.fingerprint).first()
    assert f'href="/projects/{project.pk}/failures/{text_of(group.fingerprint)}/"' in text(
        reader.get(f"/tasks/{failed.pk}/")
    )
    assert len(listed(reader.get(f"/projects/{project.pk}/tasks/?failure={text_of(group.fingerprint)}"))) == 2


@pytest.mark.parametrize("path", ["/projects/{p}/tasks/", "/projects/{p}/results/", "/tasks/{t}/"])
def test_who_may_see_them(visitor, browser, manager, project, path):
    task = TaskFactory(project=project, recipe="a secret recipe")
    path = path.format(p=project.pk, t=task.pk)
    answer = visitor.get(path)
    assert (answer.status_code, "login" in answer["Location"]) == (302, True)
    stranger = browser(manager)
    assert stranger.get(path).status_code == 403
    assert "a secret recipe" not in text(stranger.get(path))
    assert browser(manager, project, Role.READ).get(path).status_code == 200
    assert 'name="do"' not in text(browser(manager, project, Role.READ).get(path))


def test_a_task_of_a_hidden_project(browser, manager):
    task = TaskFactory(project=ProjectFactory(secluded=True))
    hidden, missing = (browser(manager).get(f"/tasks/{one}/") for one in (task.pk, 2**62))
    assert hidden.status_code == missing.status_code == 404
    told, expected = (text(answer).partition('<main id="main">')[2] for answer in (hidden, missing))
    assert expected
    assert told.replace(str(task.pk), "N") == expected.replace(str(2**62), "N")


def change(client, project, **fields):
    return client.post(f"/projects/{project.pk}/tasks/change/", fields)


def test_selected_tasks_are_changed(maintainer, project):
    tasks = TaskFactory.create_batch(3, project=project, status=2, retries=1)
    chosen = {"do": "retry", "task": [tasks[0].pk, tasks[2].pk], "filters": "?state=failed"}
    asked = change(maintainer, project, **chosen)
    assert asked.context["affected"] == 2
    assert Task.objects.filter(status=2).count() == 3
    done = change(maintainer, project, **chosen, confirmed="yes")
    assert done["Location"] == f"/projects/{project.pk}/tasks/?state=failed"
    assert list(Task.objects.filter(status=2)) == [tasks[1]]


def test_all_that_match_are_changed(maintainer, project):
    TaskFactory.create_batch(3, project=project, recipe="mine")
    kept = TaskFactory(project=project, recipe="other")
    elsewhere = TaskFactory(recipe="mine")
    chosen = {"do": "delete", "all": "yes", "filters": "?q=mine"}
    assert change(maintainer, project, **chosen).context["affected"] == 3
    change(maintainer, project, **chosen, confirmed="yes")
    assert set(Task.objects.all()) == {kept, elsewhere}


def test_priority_of_many(maintainer, project):
    task = TaskFactory(project=project)
    chosen = {"do": "priority", "task": task.pk}
    assert "New priority" in text(change(maintainer, project, **chosen))
    wrong = change(maintainer, project, **chosen, confirmed="yes", priority="70000")
    assert wrong.context["form"].errors
    change(maintainer, project, **chosen, confirmed="yes", priority="7")
    task.refresh_from_db()
    assert task.priority == 7


def test_nothing_is_changed(maintainer, reader, project):
    task = TaskFactory(project=project)
    assert change(reader, project, do="delete", task=task.pk, confirmed="yes").status_code == 403
    assert change(maintainer, project, do="explode", task=task.pk).status_code == 400
    assert change(maintainer, project, do="delete").status_code == 302
    elsewhere = TaskFactory()
    change(maintainer, project, do="delete", task=elsewhere.pk, confirmed="yes")
    assert change(maintainer, project, do="retry", task=task.pk).context["affected"] == 0
    assert change(maintainer, project, do="delete", all="yes", filters="?state=nonsense").status_code == 400
    assert set(Task.objects.all()) == {task, elsewhere}


# Results


def test_results(reader, project):
    TaskFactory.create_batch(3, project=project)
    first = report(project, OK, output='{"x": "<b>1"}', seconds=75, message="well done")
    second = report(project, OK, verification=42)
    ClosedTask.objects.filter(pk=second).update(worker=2**40)
    response = reader.get(f"/projects/{project.pk}/results/")
    assert [row[0].pk for row in response.context["rows"]] == [second, first]
    page = text(response)
    assert "{&quot;x&quot;: &quot;&lt;b&gt;1&quot;}" in page
    for part in ("well done", "1 min", "attic", "deleted worker", ">42<", f"/project/results/{project.pk}/lines"):
        assert part in page
    assert [row[0].pk for row in reader.get(f"/projects/{project.pk}/results/?q={first}").context["rows"]] == [first]
    assert reader.get(f"/projects/{project.pk}/results/?since=nonsense").status_code == 400
    assert "No closed task matches" in text(reader.get(f"/projects/{project.pk}/results/?q=nothing"))


def test_a_project_that_keeps_nothing(browser, manager):
    project = ProjectFactory(retention_days=0)
    client = browser(manager, project, Role.READ)
    assert "Closed tasks are not kept" in text(client.get(f"/projects/{project.pk}/results/"))


# A task


def test_the_life_of_a_task(maintainer, project):
    worker = register("attic")
    task = TaskFactory(project=project, recipe="<i>do</i>", max_retries=3)
    report(project, FAIL, worker=worker, message="Traceback <b>", output='["x"]', reason=1)
    report(project, SKIP, worker=worker, reason=4)
    queue.lease(project=project, worker=worker.worker)
    expire(task)
    queue.lease(project=project, worker=worker.worker)
    page = text(maintainer.get(f"/tasks/{task.pk}/"))
    for part in ("&lt;i&gt;do&lt;/i&gt;", "Traceback &lt;b&gt;", "lease expired", "busy", "FAILED after 3", "attic"):
        assert part in page
    assert "Reclaim the lease" in page
    assert "Retry" not in page
    labels = [event.label for event, _ in maintainer.get(f"/tasks/{task.pk}/").context["events"]]
    assert labels == ["submitted", "failed", "skipped", "lease expired", "leased"]


def test_the_page_of_a_closed_task(reader, project):
    TaskFactory(project=project, verification_count=2)
    workers = [register(f"w{n}") for n in range(3)]
    for worker, verification in zip(workers, (1, 2, 1), strict=True):
        number = report(project, OK, worker=worker, verification=verification, output='"all is well"', seconds=3)
    page = text(reader.get(f"/tasks/{number}/"))
    assert "all is well" in page
    assert "outvoted" in page
    assert 'name="do"' not in page
    events = reader.get(f"/tasks/{number}/").context["events"]
    assert [event.label for event, _ in events] == ["submitted", "verified", "verified", "closed"]
    assert events[-1][0].seconds == 3


def test_results_tell_how_long_the_lease_was_where_the_worker_does_not(reader, project):
    TaskFactory.create_batch(2, project=project)
    report(project, OK, seconds=75)
    number = report(project, OK)
    ClosedTask.objects.filter(pk=number).update(assign_time=F("closed") - timedelta(milliseconds=250))
    page = text(reader.get(f"/projects/{project.pk}/results/"))
    assert '<td class="number">75 s</td>' in page or '<td class="number">1 min</td>' in page
    assert '<td class="number">250 ms</td>' in page


def test_a_closed_task_that_was_put_back(maintainer, project):
    TaskFactory(project=project)
    worker = register("attic")
    number = report(project, OK, worker=worker, message="all is well")
    putting_back.put_back_closed(project=project, worker=worker.worker.pk)
    for address in (f"/tasks/{number}/", f"/workers/{worker.worker.pk}/"):
        page = text(maintainer.get(address))
        assert '<span class="mark warn">closed, put back</span>' in page
        assert "all is well" in page
        assert "00000000-0000" not in page


def test_an_unknown_task(reader):
    response = reader.get("/tasks/4611686018427387904/")
    assert response.status_code == 404
    assert "There is no task 4611686018427387904" in text(response)


@pytest.mark.parametrize("do", ["retry", "reclaim", "priority"])
def test_changing_a_task(maintainer, reader, project, do):
    task = TaskFactory(project=project)
    if do == "retry":
        Task.objects.update(status=2, retries=1)
    if do == "reclaim":
        queue.lease(project=project, worker=register().worker)
    fields = {"do": do, "priority": "5"}
    assert reader.post(f"/tasks/{task.pk}/", fields).status_code == 403
    assert maintainer.post(f"/tasks/{task.pk}/", fields)["Location"] == f"/tasks/{task.pk}/"
    task.refresh_from_db()
    assert (task.status, task.assignee_id, task.priority) == (1, None, 5 if do == "priority" else 0)
    if do != "priority":
        assert "Nothing was changed" in text(maintainer.post(f"/tasks/{task.pk}/", fields, follow=True))


def test_bad_changes_of_a_task(maintainer, project):
    task = TaskFactory(project=project)
    assert maintainer.post(f"/tasks/{task.pk}/", {"do": "delete"}).status_code == 400
    assert maintainer.post(f"/tasks/{task.pk}/", {"do": "x"}).status_code == 400
    assert maintainer.post(f"/tasks/{task.pk}/", {"do": "priority", "priority": "x"}).status_code == 400
    assert Task.objects.get().priority == 0
    assert not Attempt.objects.exists()


def test_log_entries_of_a_task(reader, project):
    task, worker = TaskFactory(project=project), register("attic")
    entry = {"worker": worker.worker, "level": 3, "scope": "s", "timestamp": 1}
    LogEntry.objects.create(**entry, message="it <b>broke", task_id=task.pk)
    LogEntry.objects.create(**entry, message="elsewhere", task_id=2**40)
    page = text(reader.get(f"/tasks/{task.pk}/"))
    assert "it &lt;b&gt;broke" in page
    assert "elsewhere" not in page
    assert f"/logs/?task={task.pk}" in page
    # And back.
    assert f'href="/tasks/{task.pk}/"' in text(reader.get("/logs/"))
