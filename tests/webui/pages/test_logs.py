"""/logs/."""

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


def test_entries_are_escaped(admin):
    entry(1, message="<img src=x onerror=alert(1)>", scope="<b>", worker=register("<i>").worker)
    page = admin.get("/logs/").content.decode()
    for tag in ("<img src=x", "<b>", "<i>"):
        assert tag not in page


def test_an_out_of_range_time(admin):
    entry(timestamp=2**63 - 1)
    assert admin.get("/logs/").status_code == 200
