"""logs.services.drop_old_entries."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from logs import services
from logs.models import Level, LogEntry
from logs.services import drop_old_entries
from tracker.serve.scheduler import JOBS

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry(worker):
    def entry(message, *, age, timestamp=1):
        created = LogEntry.objects.create(
            worker=worker.worker, level=Level.INFO, scope="s", message=message, timestamp=timestamp
        )
        LogEntry.objects.filter(pk=created.pk).update(received=Now() - age)

    return entry


def left():
    return list(LogEntry.objects.order_by("id").values_list("message", flat=True))


def test_it_works(entry):
    entry("old", age=timedelta(days=30, minutes=1))
    entry("very old", age=timedelta(days=3000))
    entry("recent", age=timedelta(days=30) - timedelta(minutes=1))
    entry("new", age=timedelta())
    assert drop_old_entries() == 2
    assert left() == ["recent", "new"]
    assert drop_old_entries() == 0


def test_nothing_to_do(db):
    assert drop_old_entries() == 0


def test_retention_follows_the_setting(entry, settings):
    settings.LOG_KEEP_DAYS = 1
    entry("old", age=timedelta(hours=25))
    entry("recent", age=timedelta(hours=23))
    assert drop_old_entries() == 1
    assert left() == ["recent"]


def test_longest_retention(entry, settings):
    settings.LOG_KEEP_DAYS = 36500
    entry("old", age=timedelta(days=3650))
    assert drop_old_entries() == 0


def test_workers_clock_does_not_count(entry):
    entry("says it is old", age=timedelta(), timestamp=1)
    entry("says it is new", age=timedelta(days=31), timestamp=2**40)
    assert drop_old_entries() == 1
    assert left() == ["says it is old"]


def test_a_batch_at_a_time_oldest_first(entry, monkeypatch):
    monkeypatch.setattr(services, "_BATCH", 2)
    for days in (33, 35, 31, 34, 32):
        entry(str(days), age=timedelta(days=days))
    assert drop_old_entries() == 2
    assert left() == ["33", "31", "32"]
    assert [drop_old_entries() for _ in range(3)] == [2, 1, 0]
    assert left() == []


def test_entries_of_a_deleted_worker(entry, worker):
    entry("old", age=timedelta(days=31))
    worker.worker.delete()
    assert left() == ["old"]
    assert drop_old_entries() == 1


def test_it_is_a_periodic_job():
    assert drop_old_entries in [job.function for job in JOBS]
