"""/projects/7/, its numbers, and /projects/7/start/."""

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import Snapshot
from projects.roles import Role
from tasks import queue
from tasks.models import Task
from tests.factories import ProjectFactory, TaskFactory

pytestmark = pytest.mark.django_db


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
    assert body["ready"] == [9, 6, 2]
    assert body["leased"] == [0, 2, 1]
    assert body["closed"] == [0, 4, 10]
    assert body["versions"] == [{"time": body["times"][2], "version": "b"}]
    assert body["assignees"] == [{"name": "worker", "count": 1}]
    assert body["times"] == sorted(body["times"])


def test_a_range_begins_with_the_snapshot_before_it(visitor, project):
    snapshots(project, 180, 90, 30, closed_task_count=[1, 5, 7])
    assert visitor.get(url(project, "numbers/?range=hour")).json()["closed"] == [0, 2]
    assert visitor.get(url(project, "numbers/?range=day")).json()["closed"] == [0, 4, 6]
    assert visitor.get(url(project, "numbers/?range=nonsense")).json()["seconds"] == 86400


def test_many_snapshots_are_thinned_out(visitor, project):
    snapshots(project, *range(1, 1200, 2), closed_task_count=list(range(600, 0, -1)))
    body = visitor.get(url(project, "numbers/?range=day")).json()
    assert 200 < len(body["times"]) <= 302
    # The newest is always there.
    assert body["closed"][-1] == 600 - body["closed"][0] - 1 or body["closed"][-1] > 590


def test_no_snapshots_yet(visitor, project):
    body = visitor.get(url(project, "numbers/")).json()
    assert body["times"] == []
    assert body["versions"] == []
    assert body["now"]["rate"] is None


def test_failures_are_shown_to_those_with_a_role(visitor, browser, manager, project):
    failed = TaskFactory(project=project, status=Task.Status.FAILED, recipe="<b>secret recipe</b>", retries=3)
    assert "secret recipe" not in visitor.get(url(project)).content.decode()
    assert "secret recipe" not in browser(manager).get(url(project)).content.decode()
    page = browser(manager, project, Role.READ).get(url(project)).content.decode()
    assert "&lt;b&gt;secret recipe" in page
    assert str(failed.pk) in page


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
        (Role.EDIT, ["", "workers/", "start/", "edit/"], ["pause/"]),
        (Role.MANAGE_ACCESS, ["", "workers/", "start/", "permissions/"], []),
        (Role.SECRET, ["", "workers/", "start/", "secrets/"], []),
        (Role.MAINTENANCE, ["", "workers/", "start/", "console/"], ["reset-failed/", "reclaim/", "hard-reset/"]),
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
