"""The sidebar and the tabs, which the pages and the admin share."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.access import set_roles
from projects.roles import Role
from tests.factories import ProjectFactory, UserFactory, grant, register
from webui import access_requests
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db

PROJECTS, TASKS, FAILURES, WORKERS = "/projects/", "/admin/tasks/task/", "/failures/", "/workers/"
REQUESTS, LOGS, MANAGERS, API = "/admin/workers/workeraccess/", "/logs/", "/managers/", "/api/docs"
ADMINS = ("/admin/", "/admin/projects/project/", "/admin/projects/snapshot/", "/admin/tasks/closedtask/")


@pytest.fixture
def decider(client, manager, project):
    """A manager who decides on the requests in `project`."""
    set_roles(manager=manager, project=project, roles=Role.MANAGE_ACCESS)
    client.force_login(manager)
    return client


def sidebar(client, path):
    """The sidebar as it is shown: without what marks the current entry and what differs for each page."""
    page = client.get(path).content.decode()
    found = re.search(r'<header class="side".*?</dialog>', page, re.DOTALL)
    assert found, path
    text = re.sub(r' aria-current="page"|name="csrfmiddlewaretoken" value="\w+"', "", found[0])
    return re.sub(r'name="next" value="[^"]*"', "", text)


def entries(client, path="/projects/"):
    return re.findall(r'<li><a href="([^"]+)" data-go', sidebar(client, path))


def current(client, path):
    return re.findall(r'<a href="([^"]+)" data-go="." aria-current="page"', client.get(path).content.decode())


def tabs(client, path):
    page = client.get(path).content.decode()
    found = re.search(r'<nav class="views".*?</nav>', page, re.DOTALL)
    return re.findall(r'<a href="([^"]+)"', found[0]) if found else []


def test_it_works(decider):
    assert entries(decider) == [PROJECTS, TASKS, FAILURES, WORKERS, REQUESTS, LOGS, MANAGERS, API]


@pytest.mark.parametrize(
    "path", [TASKS, FAILURES, WORKERS, REQUESTS, LOGS, MANAGERS, API, "/accounts/", "/projects/new/", *ADMINS]
)
def test_the_sidebar_is_the_same_everywhere(decider, path):
    assert sidebar(decider, path) == sidebar(decider, PROJECTS)


def test_visitors_see_what_they_may(client, settings):
    assert entries(client) == [PROJECTS, WORKERS, API]
    assert tabs(client, PROJECTS) == tabs(client, WORKERS) == []
    settings.LOGS_PUBLIC = True
    assert entries(client) == [PROJECTS, WORKERS, LOGS, API]
    assert tabs(client, LOGS) == []


def test_requests_are_for_those_who_decide(client, project):
    user = UserFactory()
    set_roles(manager=user, project=project, roles=Role.EDIT)
    client.force_login(user)
    assert REQUESTS not in entries(client)


@pytest.mark.parametrize("path", [PROJECTS, TASKS])
def test_the_badge_counts_only_ones_own_requests(decider, project, path):
    def ask(alias, where):
        access = grant(register(alias), where)
        WorkerAccess.objects.filter(pk=access.pk).update(wants_assign=True, asked="2026-01-01T00:00:00Z")

    assert 'class="badge"' not in sidebar(decider, path)
    for n in range(3):
        ask(f"here {n}", project)
    ask("elsewhere", ProjectFactory())
    assert re.findall(r'class="badge"[^>]*>([^<]+)<', sidebar(decider, path)) == ["3"]


def test_a_badge_has_two_digits_at_most(decider, project, monkeypatch):
    monkeypatch.setattr(access_requests, "MANY", 2)
    for n in range(3):
        access = grant(register(f"here {n}"), project)
        WorkerAccess.objects.filter(pk=access.pk).update(wants_assign=True, asked="2026-01-01T00:00:00Z")
    assert re.findall(r'class="badge"[^>]*>([^<]+)<', sidebar(decider, TASKS)) == ["1+"]


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        (PROJECTS, PROJECTS),
        ("/projects/new/", PROJECTS),
        ("/admin/", PROJECTS),
        ("/admin/projects/project/", PROJECTS),
        ("/admin/projects/project/add/", PROJECTS),
        ("/admin/projects/snapshot/", PROJECTS),
        (TASKS, TASKS),
        (f"{TASKS}?state=failed", TASKS),
        ("/admin/tasks/closedtask/", TASKS),
        (WORKERS, WORKERS),
        ("/admin/workers/worker/", WORKERS),
        (REQUESTS, REQUESTS),
        (LOGS, LOGS),
        ("/admin/logs/logentry/", LOGS),
        (MANAGERS, MANAGERS),
        (API, API),
    ],
)
def test_one_entry_is_current(decider, path, entry):
    assert current(decider, path) == [entry]


def test_the_description_of_the_api_has_the_visitors_language(client):
    client.cookies["django_language"] = "fr"
    page = client.get(API)
    assert page["Content-Language"] == "fr"
    assert "Projets" in page.content.decode()
    assert client.get("/project/get/9").json()["message"] == "There is no project 9."


def test_no_entry_is_current_on_ones_account(decider):
    assert current(decider, "/accounts/") == []


def test_lists_of_a_noun_lead_to_each_other(decider):
    projects = [PROJECTS, "/admin/projects/project/", "/admin/projects/snapshot/", "/admin/"]
    for path in projects:
        assert tabs(decider, path) == projects
    assert tabs(decider, TASKS) == tabs(decider, "/admin/tasks/closedtask/") == [TASKS, "/admin/tasks/closedtask/"]
    assert tabs(decider, WORKERS) == [WORKERS, "/admin/workers/worker/"]
    assert tabs(decider, LOGS) == [LOGS, "/admin/logs/logentry/"]
    assert tabs(decider, REQUESTS) == tabs(decider, "/projects/new/") == []


def test_managers_are_changed_by_tracker_admins(client, tracker_admin, decider):
    assert tabs(decider, MANAGERS) == []
    client.force_login(tracker_admin)
    assert tabs(client, MANAGERS) == [MANAGERS, "/admin/accounts/user/"]


@pytest.mark.parametrize("signed_in", [False, True])
def test_every_entry_and_tab_leads_somewhere(client, tracker_admin, signed_in):
    if signed_in:
        client.force_login(tracker_admin)
    for path in entries(client):
        assert client.get(path).status_code == 200, path
        for tab in tabs(client, path):
            assert client.get(tab).status_code == 200, tab


def test_keys_are_unique_and_told(decider):
    shown = sidebar(decider, PROJECTS)
    keys = re.findall(r'data-go="(.)"', shown)
    assert keys == list("ptfwrlma")
    assert re.findall(r"<kbd>g</kbd> <kbd>(.)</kbd>", shown) == keys


@pytest.mark.parametrize("path", [PROJECTS, TASKS])
def test_a_page_counts_the_requests_once(decider, path):
    with CaptureQueriesContext(connection) as captured:
        decider.get(path)
    counts = [query["sql"] for query in captured if "workers_workeraccess" in query["sql"]]
    assert len(counts) == 1
