"""/logs/."""

import time
from itertools import product
from urllib.parse import parse_qsl

import pytest

from logs import queries
from logs.models import Level, LogEntry
from projects.roles import Role
from tests.factories import ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db


def entry(n=0, **columns):
    fields = {"level": Level.INFO, "scope": "s", "message": f"message {n}", "timestamp": 1_700_000_000 + n}
    return LogEntry.objects.create(**(fields | columns))


def shown(response):
    return [entry.message for entry, *_ in response.context["rows"]]


def test_it_works(admin):
    worker = register("attic").worker
    entry(1, worker=worker)
    entry(2, level=Level.ERROR)
    response = admin.get("/logs/")
    assert shown(response) == ["message 2", "message 1"]
    assert "attic" in response.content.decode()


def test_public_only_if_the_setting_says_so(visitor, settings):
    entry(1)
    assert visitor.get("/logs/").status_code == 302
    assert "/logs/" not in visitor.get("/projects/").content.decode()
    settings.LOGS_PUBLIC = True
    assert shown(visitor.get("/logs/")) == ["message 1"]
    assert "/logs/" in visitor.get("/projects/").content.decode()


def test_level_and_worker(admin):
    worker = register("attic").worker
    entry(1, level=Level.ERROR, worker=worker)
    entry(2, level=Level.INFO, worker=worker)
    entry(3, level=Level.ERROR)
    assert shown(admin.get("/logs/", {"level": 3})) == ["message 3", "message 1"]
    assert shown(admin.get("/logs/", {"worker": worker.pk})) == ["message 2", "message 1"]


@pytest.mark.parametrize("typed", ["attic", "ATTIC", "{pk}", " attic "])
def test_worker_by_alias_or_id(admin, typed):
    worker = register("attic").worker
    entry(1, worker=worker)
    entry(2, worker=register("attic 2").worker)
    assert shown(admin.get("/logs/", {"worker": typed.format(pk=worker.pk)})) == ["message 1"]


def test_workers_of_one_name(admin):
    for n in (1, 2):
        entry(n, worker=register("attic").worker)
    entry(3, worker=register("other").worker)
    assert shown(admin.get("/logs/", {"worker": "attic"})) == ["message 2", "message 1"]


def test_task(admin):
    entry(1, task_id=7)
    entry(2, task_id=2**63 - 1)
    entry(3)
    page = admin.get("/logs/", {"task": "7"})
    assert shown(page) == ["message 1"]
    assert '<a href="?task=7">7</a>' in page.content.decode()
    assert shown(admin.get("/logs/", {"task": str(2**63 - 1)})) == ["message 2"]


def test_text_is_looked_for_in_the_message_and_the_scope(admin):
    entry(1, message="It is 100 % done.")
    entry(2, scope="Rendering")
    entry(3, message="100 kB")
    assert shown(admin.get("/logs/", {"q": "100 %"})) == ["It is 100 % done."]
    assert shown(admin.get("/logs/", {"q": "rENDER"})) == ["message 2"]
    assert len(shown(admin.get("/logs/", {"q": "1\x000"}))) == 2
    empty = admin.get("/logs/", {"q": "nowhere"})
    assert shown(empty) == []
    assert "No entry matches" in empty.content.decode()


def test_all_filters_together(admin):
    worker = register("attic").worker
    for n, (level, task, scope) in enumerate(product((3, 5), (7, 8), ("a", "b"))):
        entry(n, level=level, task_id=task, scope=f"scope {scope}", worker=worker)
        entry(n, level=level, task_id=task, scope=f"scope {scope}")
    filters = {"level": 3, "task": 8, "worker": "attic", "q": "scope b"}
    assert shown(admin.get("/logs/", filters)) == ["message 3"]


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"level": "x"}, "level: must be a whole number from 1 to 7, not x."),
        ({"level": "8"}, "level: must be a whole number from 1 to 7, not 8."),
        ({"task": "-1"}, "task: must be a whole number from 1 to"),
        ({"task": str(2**63)}, "task: must be a whole number from 1 to"),
        ({"task": "frame 7"}, "task: must be a whole number from 1 to"),
        ({"worker": "-1"}, "worker: there is no worker called “-1”."),
        ({"worker": "nobody"}, "worker: there is no worker called “nobody”."),
    ],
)
def test_a_wrong_filter_is_told(admin, filters, problem):
    """Rather than showing everything."""
    entry(1)
    response = admin.get("/logs/", filters)
    assert response.status_code == 400
    assert problem in response.content.decode()
    assert shown(response) == []
    (value,) = filters.values()
    assert f'value="{value}"' in response.content.decode() or "level" in filters


def test_the_next_page_keeps_the_filters(admin):
    worker = register("attic").worker
    for n in range(150):
        entry(n, worker=worker, level=Level.ERROR, task_id=7)
        entry(n, level=Level.ERROR, task_id=7)
    filters = {"level": "3", "worker": "attic", "task": "7", "q": "message"}
    first = admin.get("/logs/", filters)
    second = admin.get("/logs/" + first.context["older"])
    assert shown(first) + shown(second) == [f"message {n}" for n in reversed(range(150))]
    assert dict(parse_qsl(second.context["newest"].removeprefix("?"))) == filters


def test_tells_how_far_it_looked(admin, monkeypatch):
    monkeypatch.setattr(queries.find, "__kwdefaults__", {"bound": 10, "most_bytes": None})
    entry(message="wanted")
    for n in range(25):
        entry(n)
    page, seen = admin.get("/logs/", {"q": "wanted"}), []
    while page.context["older"]:
        assert "Searched 10 entries, down to" in page.content.decode()
        assert "No entry matches" in page.content.decode()
        page = admin.get("/logs/" + page.context["older"])
        seen += shown(page)
    assert seen == ["wanted"]
    assert "Searched" not in page.content.decode()


def test_links_to_the_pages_of_tasks_and_workers(browser, manager, visitor, settings):
    """To those of tasks only where the reader may see the task; visitors may see neither."""
    settings.LOGS_PUBLIC = True
    worker = register("attic").worker
    seen, hidden = TaskFactory(project=ProjectFactory()), TaskFactory(project=ProjectFactory(secluded=True))
    for task_id in (seen.pk, hidden.pk, 2**40):
        entry(task_id=task_id, worker=worker)
    page = visitor.get("/logs/").content.decode()
    assert f'href="?task={seen.pk}"' in page
    assert f'href="?worker={worker.pk}"' in page
    page = browser(manager, seen.project, Role.READ).get("/logs/").content.decode()
    assert f'href="/tasks/{seen.pk}/"' in page
    assert f'href="?task={hidden.pk}"' in page
    assert f'href="?task={2**40}"' in page
    assert page.count(f'href="/workers/{worker.pk}/"') == 3


def test_older_entries_are_on_the_next_page(admin):
    for n in range(150):
        entry(n // 2)
    first = admin.get("/logs/")
    second = admin.get("/logs/" + first.context["older"])
    ids = [entry.pk for entry, *_ in [*first.context["rows"], *second.context["rows"]]]
    assert len(ids) == len(set(ids)) == 150
    assert second.context["older"] == ""


@pytest.mark.parametrize("count", [99, 100, 101])
def test_no_page_is_empty(admin, count):
    for n in range(count):
        entry(n)
    assert bool(admin.get("/logs/").context["older"]) == (count > 100)


def test_long_messages_take_more_pages(admin, monkeypatch):
    monkeypatch.setattr("webui.pages.logs.BYTES_PER_PAGE", 1000)
    for _ in range(3):
        entry(message="x" * 600)
    assert len(shown(admin.get("/logs/"))) == 1


def test_a_wrong_clock_pins_nothing(admin):
    now = int(time.time())
    entry(1, timestamp=2**63 - 1)
    entry(2, timestamp=now + 86_400)
    entry(3, timestamp=now)
    page = admin.get("/logs/")
    assert shown(page) == ["message 3", "message 2", "message 1"]
    assert page.content.decode().count("by the worker's clock:") == 2
