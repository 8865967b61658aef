"""Operations on log entries."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from logs.models import Level, LogEntry
from workers.models import Worker

logger = logging.getLogger("worker_log")

_BATCH = 10_000


def record(*, worker: Worker, level: Level, scope: str, message: str, timestamp: int) -> None:
    """Write an entry to the log file and, if its level is kept, to the database. `timestamp` in Unix seconds."""
    fields = {
        "level": level.name.lower(),
        "scope": scope,
        "worker": worker.pk,
        "worker_alias": worker.alias,
        "timestamp": timestamp,
    }
    logger.log(logging.INFO, "%s", message, extra={"fields": fields})
    if level.is_kept:
        LogEntry.objects.create(worker=worker, level=level, scope=scope, message=message, timestamp=timestamp)


def drop_old_entries() -> int:
    """Delete one batch of entries received more than LOG_KEEP_DAYS ago, oldest first; returns how many."""
    old = LogEntry.objects.filter(received__lt=Now() - timedelta(days=settings.LOG_KEEP_DAYS))
    batch = old.order_by("received").values("pk")[:_BATCH]
    return LogEntry.objects.filter(pk__in=batch).delete()[0]
