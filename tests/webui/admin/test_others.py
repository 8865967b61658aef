"""Logs, closed tasks, snapshots and managers in the admin."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin import site

from accounts.models import User
from logs import queries
from logs.models import Level, LogEntry
from projects.models import Snapshot
from tasks.models import ClosedTask
from tasks.queries import closed
from tests.factories import ProjectFactory, UserFactory, register
from tests.webui.admin.conftest import Browser
from tracker.api.errors import Forbidden

pytestmark = pytest.mark.django_db

LOGS = "logs/logentry/"
CLOSED = "tasks/closedtask/"
MANAGERS = "accounts/user/"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ids(rows):
    return [row.pk for row in rows]


# --- Logs ---


def log(**columns):
    defaults = {"level": Level.INFO, "scope": "build", "message": "done", "received": NOON}
    columns = defaults | columns
    return LogEntry.objects.create(**{"timestamp": int(columns["received"].timestamp())} | columns)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("level=3", {"grave"}),
        ("level=4", {"grave", "warned"}),
        ("scope=UPLO", {"warned"}),
        ("q=100%25", {"grave"}),
        ("worker=mine", {"mine"}),
        ("since=2026-05-01+13:00", {"late"}),
        ("until=2026-05-01+11:59", {"early"}),
        ("since=2026-05-01&until=2026-05-01+11:59", {"early"}),
        ("q=DOWN", {"about a task"}),
        ("task=7", {"about a task"}),
        ("task=8", set()),
        ("", {"grave", "warned", "mine", "late", "early", "about a task"}),
    ],
)
def test_find_log_entries(admin, query, found):
    entries = {
        "grave": log(level=Level.ERROR, message="at 100% of it"),
        "warned": log(level=Level.WARN, scope="upload"),
        "mine": log(worker=register("mine").worker),
        "late": log(received=NOON + timedelta(hours=2)),
        "early": log(received=NOON - timedelta(hours=2)),
        "about a task": log(task_id=7, scope="Download"),
    }
    assert set(ids(admin.rows(f"{LOGS}?{query}"))) == {entries[name].pk for name in found}


@pytest.mark.parametrize("bound", [1, 3, 1000])
@pytest.mark.parametrize("query", ["", "level=3", "q=even"])
def test_pagination_of_the_log(admin, monkeypatch, bound, query):
    from webui.admin.logs import LogEntryAdmin

    monkeypatch.setattr(LogEntryAdmin, "list_per_page", 2)
    monkeypatch.setattr(queries.find, "__kwdefaults__", {"bound": bound, "most_bytes": None})
    # Several with the same second.
    entries = [
        log(
            received=NOON + timedelta(seconds=n // 3),
            timestamp=100 - n,
            level=Level.ERROR if n % 2 else Level.INFO,
            message="odd" if n % 2 else "even",
        )
        for n in range(9)
    ]
    wanted = {"": entries, "level=3": entries[1::2], "q=even": entries[::2]}[query]
    assert ids(admin.all_pages(f"{LOGS}?{query}")) == ids(reversed(wanted))


@pytest.mark.parametrize("query", ["level=9", "task=0", "task=x", "since=soon", "until=2026-99-01"])
def test_an_invalid_filter_finds_nothing(admin, query):
    log()
    assert admin.rows(f"{LOGS}?{query}") == []
    assert f"{query.partition('=')[0]}: must be" in admin.get(f"{LOGS}?{query}")


def test_every_manager_reads_the_log(manager):
    entry = log(message="line\n" * 20)
    browser = Browser(manager)
    assert ids(browser.rows(LOGS)) == [entry.pk]
    browser.get(f"{LOGS}{entry.pk}/change/")


def test_a_wrong_clock_is_shown(admin):
    right = log(timestamp=int(NOON.timestamp()) + 200)
    wrong = log(timestamp=int(NOON.timestamp()) + 9_999_999)
    assert ids(admin.rows(LOGS)) == [wrong.pk, right.pk]
    assert admin.get(LOGS).count("by the worker&#x27;s clock:") == 1


def test_an_out_of_range_time_is_shown_as_a_number(admin):
    log(timestamp=2**62)
    assert str(2**62) in admin.get(LOGS)


@pytest.mark.parametrize("path", [LOGS, CLOSED, "projects/snapshot/"])
def test_read_only_lists_have_no_actions(admin, project, path):
    log()
    close(project)
    snap(project)
    page = admin.get(path)
    assert 'name="action"' not in page
    admin.get(f"{path}add/", status=403)


# --- Closed tasks ---


def close(project, **columns):
    defaults = {
        "id": (ClosedTask.objects.order_by("pk").values_list("pk", flat=True).last() or 0) + 1,
        "project": project,
        "worker": register().worker,
        "recipe": "closed recipe",
        "priority": 0,
        "retries": 0,
        "verification": 0,
        "voters": [],
        "votes": [],
        "created": NOON,
        "assign_time": NOON,
        "closed": NOON,
    }
    return ClosedTask.objects.create(**defaults | columns)


@pytest.mark.parametrize("bound", [2, 1000])
@pytest.mark.parametrize("query", ["", "project={project}", "project={project}&q=recipe", "project={project}&q=none"])
def test_pagination_of_closed_tasks(admin, project, monkeypatch, bound, query):
    from webui.admin.closed_tasks import ClosedTaskAdmin

    monkeypatch.setattr(ClosedTaskAdmin, "list_per_page", 2)
    monkeypatch.setattr(closed.find, "__kwdefaults__", {"bound": bound, "most_bytes": None})
    other = ProjectFactory()
    mine = [close(project, closed=NOON + timedelta(seconds=n // 3)) for n in range(7)]
    others = [close(other, closed=NOON + timedelta(seconds=n)) for n in range(3)]
    wanted = {"": mine + others, "project={project}&q=none": []}.get(query, mine)
    wanted = sorted(wanted, key=lambda task: (task.closed, task.pk), reverse=True)
    assert ids(admin.all_pages(f"{CLOSED}?{query.format(project=project.pk)}")) == ids(wanted)


def test_find_closed_tasks(admin, project):
    first, second = close(project), close(project, recipe="number 42", closed=NOON + timedelta(hours=2))
    assert ids(admin.rows(f"{CLOSED}?q={first.pk}")) == [first.pk]
    assert ids(admin.rows(f'{CLOSED}?q="42"')) == [second.pk]
    assert ids(admin.rows(f"{CLOSED}?since=2026-05-01+13:00")) == [second.pk]
    assert ids(admin.rows(f"{CLOSED}?until=2026-05-01+13:00")) == [first.pk]


def test_a_text_search_requires_one_project(admin, project):
    close(project)
    close(ProjectFactory())
    assert admin.rows(f"{CLOSED}?q=recipe") == []
    assert "choose it in the filters" in admin.get(f"{CLOSED}?q=recipe")
    assert len(admin.rows(f"{CLOSED}?q=recipe&project={project.pk}")) == 1


# --- Snapshots ---


def snap(project):
    return Snapshot.objects.create(
        project=project,
        new_task_count=1,
        failed_task_count=2,
        closed_task_count=3,
        awaiting_verification_count=4,
        worker_access_count=5,
    )


def test_snapshots_by_project(admin, project, monkeypatch):
    from webui.admin.snapshots import SnapshotAdmin

    monkeypatch.setattr(SnapshotAdmin, "list_per_page", 2)
    mine = [snap(project) for _ in range(5)]
    snap(ProjectFactory())
    assert ids(admin.all_pages(f"projects/snapshot/?project={project.pk}")) == ids(reversed(mine))
    assert len(admin.all_pages("projects/snapshot/")) == 6
    admin.get(f"projects/snapshot/{mine[0].pk}/change/", status=403)


# --- Managers ---


@pytest.mark.parametrize(
    ("action", "column", "value"),
    [
        ("promote", "is_superuser", True),
        ("demote", "is_superuser", False),
        ("deactivate", "is_active", False),
        ("activate", "is_active", True),
    ],
)
def test_change_managers(admin, action, column, value):
    managers = UserFactory.create_batch(2, **{column: not value})
    question = admin.act(MANAGERS, action, managers, confirmed=False)
    assert "2 managers" in question.content.decode()
    assert User.objects.filter(pk__in=ids(managers), **{column: value}).count() == 0
    admin.act(MANAGERS, action, managers)
    assert User.objects.filter(pk__in=ids(managers), **{column: value}).count() == 2


CHANGES = {
    "promote": {"is_superuser": False},
    "demote": {"is_superuser": True},
    "deactivate": {"is_active": True},
    "activate": {"is_active": False},
}


@pytest.mark.parametrize(("action", "columns"), CHANGES.items())
def test_a_selection_with_oneself_changes_nobody(admin, tracker_admin, action, columns):
    others = [UserFactory(username=name, **columns) for name in ("aaa", "zzz")]
    before = list(User.objects.order_by("pk").values())
    said = admin.say(admin.act(MANAGERS, action, [tracker_admin, *others]))
    assert "ask another tracker admin" in said
    assert list(User.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(("action", "columns"), CHANGES.items())
def test_only_tracker_admins_change_managers(scoped, manager, tracker_admin, rf, action, columns):
    other = UserFactory(**columns)
    before = list(User.objects.order_by("pk").values())
    for one in (manager, tracker_admin, other):
        assert scoped.act(MANAGERS, action, [one]).status_code == 403
        url = f"/admin/{MANAGERS}{one.pk}/act/{action}/"
        assert scoped.client.post(url, {"confirmed": "yes"}).status_code in (403, 404)
    # The action itself checks the permission, too, not only its list.
    request = rf.post("/", {"confirmed": "yes"})
    request.user = manager
    with pytest.raises(Forbidden):
        getattr(site.get_model_admin(User), action)(request, User.objects.filter(pk=other.pk))
    assert list(User.objects.order_by("pk").values()) == before


def test_deactivated_managers_are_signed_out(admin, manager, project):
    theirs = Browser(manager)
    theirs.get("")
    admin.act(MANAGERS, "deactivate", [manager])
    theirs.get("", status=302)


def test_pages_contain_no_passwords(admin, manager):
    manager.set_password("long enough 77")
    manager.save()
    for page in (MANAGERS, f"{MANAGERS}{manager.pk}/change/"):
        source = admin.get(page)
        assert manager.password not in source
        assert 'type="password"' not in source
