"""Forged cursors of paged lists: 400 and never 500, in the admin, on the pages and in the API."""

import base64
import json
import random

import pytest
from django.test import Client

from logs.models import Level, LogEntry
from projects.models import Project, Snapshot
from tasks.models import ClosedTask, Task
from tasks.queries import failures
from tests.client import Api
from tests.factories import FailureGroupFactory, ProjectFactory, TaskFactory, grant, register
from tests.webui.admin.conftest import LISTS, Browser
from tracker import keyset

pytestmark = pytest.mark.django_db

MOMENT = "2026-01-01T00:00:00Z"


@pytest.fixture
def admin(tracker_admin):
    """A tracker admin, with a few rows in every list."""
    worker = register().worker
    for name in ("one", "two", "three"):
        project = ProjectFactory(name=name)
        grant(register(name), project, assign=True)
        FailureGroupFactory(project=project)
        TaskFactory(project=project)
        TaskFactory(project=project, status=Task.Status.FAILED)
        TaskFactory(project=project, assignee=worker, assign_time=MOMENT, lease_expires=MOMENT, lease=_uuid())
        Snapshot.objects.create(
            project=project,
            new_task_count=0,
            failed_task_count=0,
            closed_task_count=0,
            awaiting_verification_count=0,
            worker_access_count=0,
        )
        LogEntry.objects.create(level=Level.INFO, scope="s", message="m", timestamp=1, worker=worker)
        _closed(project, worker)
    return Browser(tracker_admin)


def _uuid():
    return "00000000-0000-4000-8000-000000000000"


def _closed(project, worker):
    """A closed task, as the queue leaves it."""
    from tasks import queue

    task = TaskFactory(project=project, recipe="to close")
    Task.objects.filter(pk=task.pk).update(
        assignee=worker, assign_time="2026-01-01T00:00:00Z", lease_expires="2100-01-01T00:00:00Z", lease=_uuid()
    )
    queue.release(worker=worker, task_id=task.pk, result=queue.Result.OK)
    assert ClosedTask.objects.filter(project=project).exists()


def encoded(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


VALUES = [
    *(None, True, False, 0, 1, -1, 2**31, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, 1.5),
    *("", "x", "\0", "\ud800", "1", "१", "1_0", "-1", "99999999999999999999", "32768", "newest", "oldest", "lookup"),
    *("leased", "failed", "ready", "awaiting", "same_priority", "one", "x" * 300),
    *("2026-01-01", "2026-01-01T00:00:00+00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "infinity"),
    *("-infinity", "now", "2026-13-01T00:00:00", [], [1], {}, {"a": 1}),
]
TEXTS = [
    *("x", "=", "====", "%00", "%ff", "%F0%9F%9A%80", "W10", "bnVsbA", "e30", "..", "-", "~", "a" * 5000, "MQ", "Ind"),
    *(encoded(text) for text in ("[", "[1,", "NaN", "[NaN]", "[Infinity]", "[1e999]", "[" * 1000, '["\\ud800"]')),
]
ALL_LISTS = (*LISTS, "accounts/user", "tasks/task/?state=ready", "tasks/task/?state=leased", "tasks/task/?state=failed")


def queries():
    """Every list with an address that a cursor can be added to."""
    return [*admin_queries(), "/logs/?after=", "/logs/?task=1&after="]


def admin_queries():
    return [f"/admin/{one}{'&' if '?' in one else '/?'}after=" for one in ALL_LISTS]


@pytest.mark.parametrize("after", TEXTS)
def test_texts_that_are_no_cursor(admin, after):
    for query in queries():
        response = admin.client.get(query + after)
        assert response.status_code == 400, (query, after)
        assert b"open the list from its beginning" in response.content


def test_cursors_of_the_wrong_shape(admin):
    for query in queries():
        for cursor in (
            [],
            [None],
            [1.5],
            ["x", "y"],
            [[], []],
            [{}],
            ["ready", 1, 1, "x"],
            ["leased", 1, 1, 1],
            [1] * 9,
        ):
            assert admin.client.get(query + encoded(cursor)).status_code == 400, (query, cursor)


def test_random_cursors(admin):
    """Whatever has the right types is a place in the list, even if no row is there."""
    chance = random.Random(1)
    for query in queries():
        statuses = set()
        for _turn in range(60):
            cursor = [chance.choice(VALUES) for _ in range(chance.choice((1, 1, 2, 3, 4, 4, 5)))]
            if "tasks/task" in query and chance.random() < 0.8:
                name = query.partition("state=")[2].partition("&")[0] or chance.choice(("newest", "oldest"))
                cursor = [name, chance.choice((1, 2**63 - 1)), 1, chance.choice(VALUES)]
            status = admin.client.get(query + encoded(cursor)).status_code
            assert status in (200, 400), (query, cursor)
            statuses.add(status)
        assert 400 in statuses


def test_actions_with_a_forged_cursor(admin):
    for query in admin_queries():
        assert admin.client.post(query + "W10", {"action": "pause", "_selected_action": ["1"]}).status_code in (
            302,
            400,
        )


@pytest.mark.parametrize("path", [path for path in ALL_LISTS if "?" not in path])
def test_the_cursors_of_the_pages_themselves(admin, path, monkeypatch):
    monkeypatch.setattr("webui.admin.base.TrackerModelAdmin.list_per_page", 1)
    # Groups of failures may not be stored yet.
    rows = [row.pk or (row.project_id, row.fingerprint) for row in admin.all_pages(f"{path}/")]
    assert len(rows) == len(set(rows)) >= (1 if path == "accounts/user" else 3)


def test_long_names_of_projects_are_cursors_as_well(admin, monkeypatch):
    monkeypatch.setattr("webui.admin.base.TrackerModelAdmin.list_per_page", 1)
    for number in range(20):
        ProjectFactory(name=f"{number:03}" + "🚀" * 197)
    path = "projects/project/"
    seen, query = [], path
    while query:
        assert len(query) < 8_000
        changelist = admin.client.get(f"/admin/{query}").context["cl"]
        seen += [row.pk for row in changelist.result_list]
        query = path + changelist.next_query if changelist.next_query else ""
    assert len(seen) == len(set(seen)) == 23


@pytest.mark.parametrize("path", ["/projects/", "/workers/"])
@pytest.mark.parametrize("page", ["x", "0", "-1", "1.5", "9" * 30, "9" * 5000, "%00", "१", ""])
def test_numbered_pages(admin, path, page):
    """These have no cursors; a page that isn't there is the nearest one."""
    assert Client().get(f"{path}?page={page}").status_code == 200


@pytest.mark.parametrize("value", [one for one in VALUES if type(one) is not int or not 0 < one < 2**63])
def test_the_api_of_logs(value, tracker_admin):
    if value is None:
        return
    api = Api().login(tracker_admin)
    raw = json.dumps({"before_timestamp": value, "before_id": 1}).encode()
    answer = api.post("/logs", raw)
    assert answer.status == 400


@pytest.mark.parametrize("cursor", [["a", 1, None], ["🚀", -(2**63), 2**63 - 1], []])
def test_cursors_are_read_as_they_were_written(cursor):
    assert keyset.decode(keyset.encode(cursor)) == cursor
    assert keyset.values(cursor, *map(type, cursor)) == cursor


def test_forged_cursors_of_failures(admin):
    project = Project.objects.get(name="one")
    group = failures.find([project.pk], limit=1).groups[0]
    chance = random.Random(1)
    random_ones = [encoded([chance.choice(VALUES) for _ in range(3)]) for _ in range(200)]
    right = encoded([MOMENT, project.pk, group.fingerprint])
    for address in ("/failures/", f"/projects/{project.pk}/failures/", f"/project/failures/{project.pk}"):
        assert admin.client.get(f"{address}?after={right}").status_code == 200
        for after in TEXTS:
            assert admin.client.get(f"{address}?after={after}").status_code == 400, (address, after)
        assert {admin.client.get(f"{address}?after={after}").status_code for after in random_ones} <= {200, 400}
    page = f"/projects/{project.pk}/failures/{group.key}/"
    for after in (*TEXTS, right, "-1", "9" * 20, "9" * 5000, "१"):
        assert admin.client.get(f"{page}?after={after}").status_code == 400, after
