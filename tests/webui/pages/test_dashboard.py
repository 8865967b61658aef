"""/projects/7/, its numbers, and /projects/7/start/."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from projects.models import Snapshot
from projects.roles import Role
from tasks import queue
from tasks.models import ClosedTotal, Outcome, ProjectTally, Task
from tasks.queries import overview, recent_failures
from tasks.queue.expiry import expire_leases
from tasks.queue.tallying import fold_outcomes
from tests.factories import ProjectFactory, TaskFactory, expire, register

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)


def url(project, part=""):
    return f"/projects/{project.pk}/{part}"


def snapshots(project, *minutes, **columns):
    """One snapshot for each number of minutes ago; a list of values has one value for each."""
    for n, ago in enumerate(minutes):
        counts = dict.fromkeys(("new_task_count", "failed_task_count", "awaiting_verification_count"), 0)
        counts |= {"closed_task_count": 0, "worker_access_count": 0}
        counts |= {name: value[n] if isinstance(value, list) else value for name, value in columns.items()}
        Snapshot.objects.create(project=project, taken=timezone.now() - timedelta(minutes=ago), **counts)


def test_it_works(visitor, project):
    TaskFactory.create_batch(2, project=project)
    response = visitor.get(url(project))
    assert response.status_code == 200
    assert response.context["overview"].ready == 2
    assert project.name in response.content.decode()


def test_numbers(visitor, project, worker):
    TaskFactory.create_batch(3, project=project)
    queue.lease(project=project, worker=worker.worker)
    snapshots(
        project,
        *(120, 60, 1),
        new_task_count=[9, 8, 3],
        leased_task_count=[0, 2, 1],
        closed_task_count=[100, 104, 110],
        version=["a", "a", "b"],
    )
    body = visitor.get(url(project, "numbers/?range=day")).json()
    assert body["now"]["ready"] == 2
    assert body["now"]["leased"] == 1
    # The present is the last point.
    assert body["ready"] == [9, 6, 2, 2]
    assert body["leased"] == [0, 2, 1, 1]
    assert body["versions"] == [{"time": body["times"][2], "version": "b"}]
    assert body["assignees"] == [{"name": "worker", "count": 1}]
    assert body["times"] == sorted(body["times"])


def tally(project, minutes, **counts):
    minute = (timezone.now() - timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    return ProjectTally.objects.create(project=project, minute=minute, **counts)


def total(project, worker, count):
    ClosedTotal.objects.create(project=project, worker=worker.worker, count=count)


def test_closings_and_failures_per_time(visitor, project, worker):
    TaskFactory.create_batch(3, project=project, max_retries=9)
    tally(project, 70, closed=1000)
    tally(project, 30, closed=40, failed=4, expired=2)
    total(project, worker, 1040)
    finish(project, worker, OK)
    finish(project, worker, FAIL)
    body = visitor.get(url(project, "numbers/?range=hour")).json()
    ended = body["ended"]
    assert ended["step"] == 60
    assert (sum(ended["closed"]), sum(ended["failed"]), sum(ended["expired"])) == (41, 5, 2)
    assert (ended["closed"][-1], ended["failed"][-1]) in {(1, 1), (0, 0)}
    assert body["total"] == {"closed": 41, "failed": 5, "expired": 2}
    assert 0 <= body["begin"] - ended["times"][0] < 60
    assert body["end"] - body["begin"] == pytest.approx(3600, abs=1)
    assert len(ended["times"]) in (61, 62)


def test_the_charts_begin_where_the_data_begins(visitor, project, worker):
    snapshots(project, 300, 200, 5, 3, 1, new_task_count=[0, 0, 9, 9, 8])
    tally(project, 2, closed=1)
    total(project, worker, 1)
    for chosen in ("hour", "day", "week", "all"):
        body = visitor.get(url(project, f"numbers/?range={chosen}")).json()
        assert body["ready"] == [9, 9, 8, 0]
        assert body["begin"] == body["times"][0]
        assert body["ended"]["step"] == 60
        assert sum(body["ended"]["closed"]) == 1


def test_a_new_projects_charts(visitor, project, worker):
    """After the first closing, without a snapshot."""
    TaskFactory.create_batch(2, project=project)
    finish(project, worker, OK)
    response = visitor.get(url(project))
    assert response.context["overview"].rates.minute.rate == pytest.approx(0.1)
    body = response.context["numbers"]
    assert (body["ready"], body["closed"]) == ([1], [1])
    assert sum(body["ended"]["closed"]) == 1
    assert body["end"] - body["begin"] == pytest.approx(60, abs=1)


def test_closed_in_this_period_is_exact(visitor, project, worker):
    """Also of what closed between the period's begin and the first snapshot in it, or since the last one."""
    snapshots(project, 90, 30, 10, closed_task_count=[5, 60, 80])
    for minutes, closed in ((80, 20), (50, 30), (40, 5), (20, 20), (2, 7)):
        tally(project, minutes, closed=closed)
    tally(project, 2000, closed=5)
    total(project, worker, 87)
    body = visitor.get(url(project, "numbers/?range=hour")).json()
    assert body["closed"] == [0, 35, 55, 62]
    assert body["total"]["closed"] == 62


def test_what_closed_before_there_were_tallies(visitor, project, worker):
    snapshots(project, 300, 30, closed_task_count=[100, 400])
    tally(project, 10, closed=50)
    total(project, worker, 450)
    body = visitor.get(url(project, "numbers/?range=day")).json()
    assert body["closed"] == [0, 300, 350]
    assert visitor.get(url(project, "numbers/?range=nonsense")).json()["seconds"] == 86400


def test_many_snapshots_are_thinned_out(visitor, project, worker):
    snapshots(project, *range(1, 1200, 2), closed_task_count=list(range(600, 0, -1)))
    total(project, worker, 600)
    body = visitor.get(url(project, "numbers/?range=day")).json()
    assert 200 < len(body["times"]) <= 303
    # The newest is always there.
    assert body["closed"][-2] == body["closed"][-1] >= 595


def test_a_young_projects_snapshots_are_not_thinned_out(visitor, project):
    snapshots(project, *range(9, 0, -1), new_task_count=5)
    assert len(visitor.get(url(project, "numbers/?range=week")).json()["times"]) == 10


def test_all_is_as_long_as_snapshots_are_kept(visitor, project, settings):
    settings.SNAPSHOT_KEEP_HOURS = 5
    assert visitor.get(url(project, "numbers/?range=all")).json()["seconds"] == 18_000


def test_no_snapshots_yet(visitor, project):
    body = visitor.get(url(project, "numbers/")).json()
    assert (body["ready"], body["closed"]) == ([0], [0])
    assert body["versions"] == []
    assert body["now"]["rate"] is None
    assert body["now"]["done_share"] is None
    page = visitor.get(url(project)).content.decode()
    assert "Rate, last minute</dt><dd>–<" in page


def test_the_page_says_how_often_snapshots_are_taken(visitor, project, settings):
    assert "Interval of the snapshots: 2 min." in visitor.get(url(project)).content.decode()
    settings.SNAPSHOT_SECONDS = 45
    assert "Interval of the snapshots: 45 s." in visitor.get(url(project)).content.decode()


def test_the_page_has_the_numbers_of_its_charts(visitor, project, worker):
    TaskFactory.create_batch(4, project=project, max_retries=1)
    finish(project, worker, OK)
    finish(project, worker, FAIL)
    page = visitor.get(url(project)).content.decode()
    body = json.loads(re.search(r'<div id="numbers" data-live hidden><script [^>]*>(.*?)</script>', page).group(1))
    assert {name: body["now"][name] for name in ("ready", "leased", "failed", "closed")} == {
        "ready": 2,
        "leased": 0,
        "failed": 1,
        "closed": 1,
    }
    assert body["now"]["done_share"] == 0.25
    assert body.keys() == visitor.get(url(project, "numbers/")).json().keys()


@pytest.mark.django_db(transaction=True)
def test_all_numbers_are_of_one_moment(visitor, monkeypatch):
    """Whatever happens while the page is made."""
    project, worker = ProjectFactory(), register()
    TaskFactory.create_batch(5, project=project)
    finish(project, worker, OK)
    look = overview.overview

    def and_then_more_happens(project):
        found = look(project)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(finish_elsewhere, project, worker).result()
        return found

    monkeypatch.setattr(overview, "overview", and_then_more_happens)
    body = visitor.get(url(project)).context["numbers"]
    assert body["now"]["closed"] == body["total"]["closed"] == sum(body["ended"]["closed"]) == 1
    monkeypatch.undo()
    assert visitor.get(url(project)).context["numbers"]["total"]["closed"] == 2


def finish_elsewhere(project, worker):
    try:
        finish(project, worker, OK)
    finally:
        connections.close_all()


def finish(project, worker, result, **told):
    task = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.id, result=result, told=json.dumps(told) if told else None)
    return task.id


def test_failures_are_shown_to_those_with_a_role(visitor, browser, manager, project, worker):
    TaskFactory(project=project)
    task = finish(project, worker, FAIL, message="<b>secret</b> reason\nand more", reason=2)
    assert "secret" not in visitor.get(url(project)).content.decode()
    assert "secret" not in browser(manager).get(url(project)).content.decode()
    page = browser(manager, project, Role.READ).get(url(project)).content.decode()
    assert "&lt;b&gt;secret&lt;/b&gt; reason" in page
    assert "and more" not in page
    assert f'<a href="/tasks/{task}/">{task}</a>' in page
    assert "bad recipe" in page
    assert worker.worker.alias in page


def test_tasks_and_failures_are_linked_only_for_those_who_may_open_them(browser, manager, project, worker):
    TaskFactory(project=project)
    task = finish(project, worker, FAIL, message="broken")
    page = browser(manager, project, Role.EDIT).get(url(project)).content.decode()
    assert "broken" in page
    assert f"/tasks/{task}/" not in page
    assert "tasks/?state=failed" not in page


def test_a_failure_of_a_deleted_worker(admin, project, worker):
    TaskFactory(project=project)
    finish(project, worker, FAIL, message="\n \n  first line\n")
    project.version = "v2"
    project.save()
    worker.worker.delete()
    failure = admin.get(url(project)).context["failures"][0]
    assert failure["worker"].alias is None
    assert failure["message"].strip() == "first line"
    assert failure["version"] == ""


def test_the_newest_failures(project, worker, settings):
    """Folded or not; skipped tasks and votes are none, expired leases are."""
    TaskFactory.create_batch(40, project=project, max_retries=9)
    other = ProjectFactory()
    TaskFactory(project=other)
    finish(other, worker, FAIL, message="elsewhere")
    for n in range(12):
        finish(project, worker, FAIL, message=f"kind {'abcdefghijkl'[n]}")
    fold_outcomes()
    for _ in range(3):
        finish(project, worker, FAIL, message="kind a")
        finish(project, worker, SKIP, message="skipped")
    expire(queue.lease(project=project, worker=worker.worker).id)
    expire_leases()
    found = recent_failures(project)
    assert [failure.message for failure in found] == ["", *3 * ["kind a"], *(f"kind {c}" for c in "lkjihg")]
    assert found[0].outcome == Outcome.EXPIRED
    fold_outcomes()
    assert recent_failures(project) == found


def test_failures_of_which_nothing_is_kept(admin, project):
    assert "No task has failed." in admin.get(url(project)).content.decode()
    TaskFactory(project=project, status=Task.Status.FAILED)
    page = admin.get(url(project)).content.decode()
    assert "No task has failed." not in page
    assert "nothing is kept of their attempts" in page


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://git.example/a", True),
        ("http://git.example/a", True),
        ("javascript:alert(1)", False),
        ("git@git.example:a.git", False),
        (' "><script>alert(1)</script>', False),
        ("data:text/html,x", False),
    ],
)
def test_only_web_addresses_become_links(visitor, project, address, is_link):
    project.clone_url = address
    project.save()
    page = visitor.get(url(project)).content.decode()
    assert (f'href="{address}"' in page) == is_link
    assert "<script>alert" not in page


def test_message_of_the_day_is_escaped(visitor, project):
    project.motd = "first\n<img src=x onerror=alert(1)>"
    project.save()
    page = visitor.get(url(project)).content.decode()
    assert "first\n&lt;img src=x" in page


@pytest.mark.parametrize(
    ("roles", "tabs", "buttons"),
    [
        (Role(0), ["", "workers/", "start/"], []),
        (Role.EDIT, ["", "failures/", "workers/", "start/", "edit/"], ["pause/"]),
        (Role.MANAGE_ACCESS, ["", "failures/", "workers/", "start/", "permissions/"], []),
        (Role.SECRET, ["", "failures/", "workers/", "start/", "secrets/"], []),
        (
            Role.MAINTENANCE,
            ["", "failures/", "workers/", "start/", "console/"],
            ["reset-failed/", "reclaim/", "hard-reset/"],
        ),
    ],
)
def test_tabs_and_buttons_depend_on_the_roles(browser, manager, project, roles, tabs, buttons):
    response = browser(manager, project, roles).get(url(project))
    assert [tab.part for tab in response.context["tabs"]] == tabs
    page = response.content.decode()
    for part in ("pause/", "reset-failed/", "reclaim/", "hard-reset/"):
        assert (url(project, part) in page) == (part in buttons)


def test_the_next_project_of_the_chain(visitor, project):
    target = ProjectFactory(name="Next one")
    project.chain = target
    project.save()
    assert "Next one" in visitor.get(url(project)).content.decode()
    target.public, target.hidden = False, True
    target.save()
    assert "Next one" not in visitor.get(url(project)).content.decode()


def test_getting_started_contains_the_real_address_and_id(visitor):
    project = ProjectFactory(private=True, pk=1234567)
    page = visitor.get(url(project, "start/")).content.decode()
    assert "http://testserver/task/get/1234567" in page
    assert "&quot;project&quot;: 1234567" in page or '"project": 1234567' in page
    assert "request_access" in page
    assert "request_access" not in visitor.get(url(ProjectFactory(), "start/")).content.decode()


def test_unknown_project(visitor):
    response = visitor.get("/projects/4711/")
    assert response.status_code == 404
    assert "There is no project 4711" in response.content.decode()
