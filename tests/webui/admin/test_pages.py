"""Every list and page of the admin opens, takes few queries, and escapes data."""

import re
from uuid import uuid4

import pytest
from django.utils import timezone

from logs.models import Level, LogEntry
from projects.access import set_roles
from projects.models import Snapshot
from projects.roles import ALL_ROLES, Role
from tasks import queue
from tasks.models import ClosedTask, Task
from tests.client import Api
from tests.factories import FailureGroupFactory, ProjectFactory, TaskFactory, grant, register
from tests.webui.admin.conftest import LISTS, Browser
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db

NASTY = "<script>alert('x')</script>"


def fill(project, *, text="plain"):
    """Create a row of every kind in the project."""
    alias = f"{text} worker"
    registration = register(alias)
    access = grant(registration, project)
    WorkerAccess.objects.filter(pk=access.pk).update(wants_assign=True, asked="2026-01-01T00:00:00Z")
    task = TaskFactory(project=project, recipe=f"{text} recipe", priority=9)
    queue.lease(project=project, worker=registration.worker)
    voted = TaskFactory(project=project, recipe=f"{text} voted", voters=[registration.worker.pk], votes=[-(2**63)])
    failed = TaskFactory(project=project, recipe=f"{text} failed", status=Task.Status.FAILED)
    closed = ClosedTask.objects.create(
        id=10**6 + project.pk,
        project=project,
        worker=registration.worker,
        recipe=f"{text} closed",
        priority=0,
        retries=0,
        verification=2**63 - 1,
        voters=[registration.worker.pk],
        votes=[-(2**63)],
        created="2026-01-01T00:00:00Z",
        assign_time="2026-01-01T00:00:00Z",
    )
    entry = LogEntry.objects.create(
        level=Level.ERROR,
        scope=f"{text} scope",
        message=f"{text} message\n" * 20,
        timestamp=5,
        worker=registration.worker,
    )
    Snapshot.objects.create(
        project=project,
        new_task_count=3,
        failed_task_count=1,
        closed_task_count=5,
        awaiting_verification_count=1,
        worker_access_count=1,
    )
    FailureGroupFactory(project=project, message=f"{text} failure", versions=[text])
    return {
        "projects/project": project,
        "tasks/task": task,
        "tasks/closedtask": closed,
        "workers/worker": registration.worker,
        "logs/logentry": entry,
        "voted": voted,
        "failed": failed,
    }


PAGES = ("projects/project", "tasks/task", "tasks/closedtask", "workers/worker", "logs/logentry")


@pytest.mark.parametrize("who", ["admin", "scoped"])
def test_every_list_and_page_opens(request, project, who):
    browser = request.getfixturevalue(who)
    rows = fill(project)
    assert "plain worker" in browser.get("")
    for path in LISTS:
        assert len(browser.rows(f"{path}/")) >= 1, path
    for path in PAGES:
        browser.get(f"{path}/{rows[path].pk}/change/")
    browser.get("projects/project/add/")


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_list_opens(scoped, path):
    scoped.get(f"{path}/")


def test_managers_are_for_tracker_admins(admin, scoped, manager):
    assert manager in admin.rows("accounts/user/")
    assert manager.username in admin.get(f"accounts/user/{manager.pk}/change/")
    scoped.get("accounts/user/", status=403)
    scoped.get(f"accounts/user/{manager.pk}/change/", status=403)


def test_visitors_are_redirected_to_the_login_form(client, project):
    assert client.get("/admin/tasks/task/")["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/")["Location"].startswith("/accounts/login/")


def test_deactivated_managers_are_refused(scoped, manager):
    manager.is_active = False
    manager.save()
    scoped.get("projects/project/", status=302)


def test_a_manager_without_roles_sees_empty_lists(manager, project):
    fill(project)
    browser = Browser(manager)
    assert "no role in any project" in browser.get("")
    for path in set(LISTS) - {"workers/workeraccess", "logs/logentry"}:
        assert browser.rows(f"{path}/") == []
    browser.get("workers/workeraccess/", status=403)


@pytest.mark.parametrize("path", [path for path in LISTS if path != "logs/logentry"])
def test_lists_are_scoped(scoped, project, foreign, path):
    fill(project)
    fill(foreign, text="foreign")
    rows = scoped.rows(f"{path}/")
    assert rows
    assert "foreign" not in scoped.get(f"{path}/")


@pytest.mark.parametrize("roles", [*(role for role in Role if role is not Role.READ), ALL_ROLES ^ Role.READ])
@pytest.mark.parametrize("kind", ["secluded", "private"])
def test_a_hidden_project_needs_read(manager, worker, roles, kind):
    """As everywhere else: with other roles alone, nothing in the admin shows it."""
    hidden = ProjectFactory(**{kind: True}, name="top secret", paused=True)
    task = TaskFactory(project=hidden, recipe="secret recipe", status=2)
    FailureGroupFactory(project=hidden, message="secret message")
    now = timezone.now()
    TaskFactory(project=hidden, assignee=worker.worker, assign_time=now, lease_expires=now, lease=uuid4())
    access = grant(worker, hidden, assign=True)
    access.wants_submit = True
    access.save()
    set_roles(manager=manager, project=hidden, roles=roles)
    browser = Browser(manager)
    is_shown = kind == "private"
    assert ("top secret" in browser.get("")) is is_shown
    for path in LISTS:
        response = browser.client.get(f"/admin/{path}/")
        assert response.status_code == 200 or (path == "workers/workeraccess" and response.status_code == 403)
        if not is_shown:
            assert b"secret" not in response.content, path
            assert list(response.context["cl"].result_list if "cl" in response.context else []) == []
    for path in (f"projects/project/{hidden.pk}", f"tasks/task/{task.pk}"):
        browser.get(f"{path}/change/", status=200 if is_shown else 404)
    if not is_shown:
        browser.get(f"projects/project/{hidden.pk}/secrets/", status=404)
        browser.act("projects/project/", "hard_reset", [hidden])
        assert hidden.tasks.count() == 2
    # The API agrees.
    assert Api().login(manager).get(f"/project/get/{hidden.pk}").status == (200 if is_shown else 404)


@pytest.mark.parametrize("path", [path for path in PAGES if path != "logs/logentry"])
def test_rows_out_of_scope_are_not_found(scoped, foreign, path):
    pk = fill(foreign)[path].pk
    for page in (f"{pk}/change/", f"{pk}/history/", f"{pk}/act/delete/", f"{pk}/act/pause/"):
        scoped.get(f"{path}/{page}", status=404)


def test_missing_rows_are_not_found(admin):
    for path in PAGES:
        for pk in ("1", "x", str(2**70)):
            admin.get(f"{path}/{pk}/change/", status=404)


@pytest.mark.parametrize("who", ["admin", "scoped"])
def test_data_is_escaped(request, project, who):
    browser = request.getfixturevalue(who)
    project.name = f"{NASTY} name"
    project.motd = project.git_repo = NASTY
    project.save()
    rows = fill(project, text=NASTY)
    pages = ["", *(f"{path}/" for path in LISTS), *(f"{path}/{rows[path].pk}/change/" for path in PAGES)]
    pages += [f"tasks/task/{rows['voted'].pk}/change/", f"tasks/task/{rows['failed'].pk}/act/retry/"]
    pages += [f"projects/project/{project.pk}/act/hard_reset/", f"projects/project/{project.pk}/secrets/"]
    for page in pages:
        source = browser.get(page)
        assert "<script>alert" not in source, page
    for path in LISTS:
        assert "&lt;script&gt;alert" in browser.get(f"{path}/"), path


def test_pages_contain_no_inline_scripts(admin, project):
    rows = fill(project)
    for page in ("", *(f"{path}/" for path in LISTS), *(f"{path}/{rows[path].pk}/change/" for path in PAGES)):
        source = admin.get(page)
        for script in source.split("<script")[1:]:
            assert "src=" in script.partition(">")[0], page
        assert " onclick=" not in source


def test_votes_are_written_as_text(scoped, project):
    rows = fill(project)
    page = scoped.get(f"tasks/task/{rows['voted'].pk}/change/")
    assert "-9223372036854775808" in page
    assert "plain worker" in page
    assert "9223372036854775807" in scoped.get(f"tasks/closedtask/{rows['tasks/closedtask'].pk}/change/")


def test_what_a_deleted_worker_did_is_still_shown(scoped, project):
    rows = fill(project)
    rows["workers/worker"].delete()
    for path in ("tasks/task", "tasks/closedtask", "logs/logentry"):
        assert scoped.rows(f"{path}/"), path
        scoped.get(f"{path}/{rows[path].pk}/change/")
    assert f"deleted worker {rows['tasks/closedtask'].worker_id}" in scoped.get("tasks/closedtask/")


@pytest.mark.parametrize("path", LISTS)
def test_queries_do_not_grow_with_rows(scoped, project, django_assert_max_num_queries, path):
    for n in range(12):
        register(f"more {n}")
        TaskFactory.create_batch(2, project=project)
        fill(project) if n == 0 else grant(register(f"worker {n}"), project, assign=True)
        LogEntry.objects.create(level=Level.INFO, scope="s", message="m", timestamp=n + 1)
    for n in range(12):
        ClosedTask.objects.create(
            id=5 * 10**6 + n,
            project=project,
            worker_id=n + 1,
            recipe="r",
            priority=0,
            retries=0,
            verification=0,
            voters=[],
            votes=[],
            created="2026-01-01T00:00:00Z",
            assign_time="2026-01-01T00:00:00Z",
        )
    with django_assert_max_num_queries(20):
        scoped.get(f"{path}/")


def test_projects_are_listed_without_a_query_per_project(admin, django_assert_max_num_queries):
    ProjectFactory.create_batch(30)
    with django_assert_max_num_queries(8):
        assert len(admin.rows("projects/project/")) == 30


def test_unfolds_search_is_not_offered(admin):
    admin.get("search/?s=x", status=404)


def test_filters_that_are_not_offered_are_refused(admin, project):
    TaskFactory(project=project)
    admin.get("tasks/task/?status__exact=2", status=400)


def test_a_page_offers_only_useful_actions(admin, project, tracker_admin, manager):
    rows = fill(project)

    def offered(path, pk):
        context = admin.client.get(f"/admin/{path}/{pk}/change/").context
        for action in context["page_actions"]:
            assert admin.client.get(action["link"]).status_code == 200
        return [action["link"].split("/")[-2] for action in context["page_actions"]]

    assert offered("projects/project", project.pk) == ["pause", "reset_failed", "reclaim", "hard_reset"]
    assert offered("tasks/task", rows["tasks/task"].pk) == ["release", "set_priority", "delete"]
    assert offered("tasks/task", rows["failed"].pk) == ["retry", "set_priority", "delete"]
    assert offered("workers/worker", rows["workers/worker"].pk) == ["pause", "release_leases", "rotate_secret"]
    assert offered("accounts/user", manager.pk) == ["promote", "deactivate"]
    assert offered("accounts/user", tracker_admin.pk) == ["demote", "deactivate"]


def test_times_are_readable(admin, project):
    rows = fill(project)
    for path in ("tasks/task", "tasks/closedtask", "workers/worker", "logs/logentry"):
        page = admin.get(f"{path}/{rows[path].pk}/change/")
        assert "+00:00" not in re.sub("<time[^>]*>", "", page)
        assert re.search(r">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC</time>", page)
