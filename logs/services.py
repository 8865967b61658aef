"""Operations on log entries."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from logs.models import Level, LogEntry
from tracker.api.errors import RateLimited
from tracker.api.throttle import parsed_rate
from tracker.steps import Query, Steps, stepwise
from workers.identity import Caller, UnknownWorker

logger = logging.getLogger("worker_log")

_BATCH = 10_000


@stepwise
def record(*, worker: Caller, level: Level, scope: str, message: str, timestamp: int) -> Steps[None]:
    """Write an entry to the log file and, if its level is kept, to the database. `timestamp` in Unix seconds.

    Raises UnknownWorker, and RateLimited if the worker has sent more than LOG_RATE entries.
    """
    most, seconds = parsed_rate(settings.LOG_RATE)
    entry = {"scope": scope, "message": message, "timestamp": timestamp}
    values = {"worker": worker.pk, "digest": worker.secret_digest, "level": level, "kept": level.is_kept, **entry}
    counter = {"key": f"log {worker.pk}", "most": most, "seconds": seconds}
    rows = yield Query(RECORD, values | counter)
    if not rows:
        raise UnknownWorker
    ((alias, count, left),) = rows
    if most is not None and count > most:
        delay = max(float(left), 1.0)
        raise RateLimited(delay=delay, message=f"Too many log entries from this worker; wait {delay:.0f} seconds.")
    fields = {"level": level.name.lower(), "worker": worker.pk, "worker_alias": alias, **entry}
    del fields["message"]
    logger.log(logging.INFO, "%s", message, extra={"fields": fields})


# Finds out who calls, counts the entry, and stores it, unless there have been too many.
RECORD = """
WITH caller AS (
    SELECT id, alias FROM workers_worker WHERE id = %(worker)s AND secret_digest = %(digest)s
), counted AS (
    INSERT INTO tracker_counter AS counter (key, value, expires)
    SELECT %(key)s::text, 1, now() + make_interval(secs => %(seconds)s::int)
    FROM caller
    WHERE %(most)s::int IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET
        value = CASE WHEN counter.expires > now() THEN counter.value + 1 ELSE 1 END,
        expires = CASE WHEN counter.expires > now() THEN counter.expires ELSE excluded.expires END
    RETURNING value, expires
), stored AS (
    INSERT INTO logs_logentry (worker_id, level, scope, message, timestamp)
    SELECT id, %(level)s::int, %(scope)s::text, %(message)s::text, %(timestamp)s::bigint
    FROM caller
    WHERE %(kept)s::bool AND coalesce((SELECT value <= %(most)s::int FROM counted), true)
)
SELECT caller.alias, counted.value, extract(epoch FROM counted.expires - now())::float
FROM caller
LEFT JOIN counted ON true
"""


def drop_old_entries() -> int:
    """Delete one batch of entries received more than LOG_KEEP_DAYS ago, oldest first; returns how many."""
    old = LogEntry.objects.filter(received__lt=Now() - timedelta(days=settings.LOG_KEEP_DAYS))
    batch = old.order_by("received").values("pk")[:_BATCH]
    return LogEntry.objects.filter(pk__in=batch).delete()[0]
