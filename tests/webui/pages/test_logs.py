"""/logs/."""

import time

import pytest

from logs.models import Level, LogEntry
from tests.factories import register

pytestmark = pytest.mark.django_db


def entry(n=0, **columns):
    fields = {"level": Level.INFO, "scope": "s", "message": f"message {n}", "timestamp": 1_700_000_000 + n}
    return LogEntry.objects.create(**(fields | columns))


def shown(response):
    return [one.message for one in response.context["entries"]]


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
    assert len(shown(admin.get("/logs/", {"level": "x", "worker": "-1"}))) == 3


def test_older_entries_are_on_the_next_page(admin):
    for n in range(150):
        entry(n // 2)
    first = admin.get("/logs/")
    second = admin.get("/logs/" + first.context["older"])
    ids = [one.pk for one in [*first.context["entries"], *second.context["entries"]]]
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
    assert len(admin.get("/logs/").context["entries"]) == 1


def test_a_wrong_clock_pins_nothing(admin):
    now = int(time.time())
    entry(1, timestamp=2**63 - 1)
    entry(2, timestamp=now + 86_400)
    entry(3, timestamp=now)
    page = admin.get("/logs/")
    assert shown(page) == ["message 3", "message 2", "message 1"]
    assert page.content.decode().count("by the worker's clock:") == 2
