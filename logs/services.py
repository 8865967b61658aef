"""Operations on log entries."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from logs.models import Level, LogEntry
from tracker import db
from tracker.api.errors import RateLimited
from tracker.api.throttle import parsed_rate
from tracker.steps import Query, Steps, stepwise
from workers.identity import Caller, UnknownWorker

logger = logging.getLogger("worker_log")

_BATCH = 10_000


@stepwise
def record(*, worker: Caller, level: Level, scope: str, message: str, timestamp: int) -> Steps[None]:
    """Write an entry to the log file and, if its level is kept, to the database. `timestamp` in Unix seconds.

    Raises UnknownWorker, and RateLimited if the worker has sent more than LOG_RATE entries or LOG_BYTES_RATE bytes.
    """
    most, seconds = parsed_rate(settings.LOG_RATE)
    most_bytes, bytes_seconds = parsed_rate(settings.LOG_BYTES_RATE)
    entry = {"scope": scope, "message": message, "timestamp": timestamp}
    values = {"worker": worker.pk, "digest": worker.secret_digest, "level": level, "kept": level.is_kept, **entry}
    keys, limits = [f"log {worker.pk}", f"log bytes {worker.pk}"], [most, most_bytes]
    counters = {
        "keys": db.array(keys),
        "limits": db.array(limits),
        "amounts": db.array([1, len(scope.encode()) + len(message.encode())]),
        "seconds": db.array([seconds, bytes_seconds]),
    }
    rows = yield Query(RECORD, values | counters)
    if not rows:
        raise UnknownWorker
    alias = rows[0][0]
    for _alias, key, left in rows:
        if key is not None:
            what = "log entries" if key == keys[0] else "bytes of log entries"
            delay = max(float(left), 1.0)
            raise RateLimited(delay=delay, message=f"Too many {what} from this worker; wait {delay:.0f} seconds.")
    fields = {"level": level.name.lower(), "worker": worker.pk, "worker_alias": alias, **entry}
    del fields["message"]
    logger.log(logging.INFO, "%s", message, extra={"fields": fields})


# Finds out who calls, counts the entry and its bytes, and stores it, unless there have been too many. Returns the
# limits that are exceeded, or one row without a key.
RECORD = """
WITH caller AS (
    SELECT id, alias FROM workers_worker WHERE id = %(worker)s AND secret_digest = %(digest)s
), limited AS (
    SELECT * FROM unnest(%(keys)s::text[], %(limits)s::bigint[], %(amounts)s::bigint[], %(seconds)s::int[])
        AS limited (key, most, amount, seconds)
    WHERE most IS NOT NULL
), counted AS (
    INSERT INTO tracker_counter AS counter (key, value, expires)
    SELECT limited.key, limited.amount, now() + make_interval(secs => limited.seconds)
    FROM caller, limited
    ORDER BY limited.key
    ON CONFLICT (key) DO UPDATE SET
        value = CASE WHEN counter.expires > now() THEN counter.value + excluded.value ELSE excluded.value END,
        expires = CASE WHEN counter.expires > now() THEN counter.expires ELSE excluded.expires END
    RETURNING key, value, expires
), exceeded AS (
    SELECT counted.key, counted.expires FROM counted JOIN limited ON limited.key = counted.key
    WHERE counted.value > limited.most
), stored AS (
    INSERT INTO logs_logentry (worker_id, level, scope, message, timestamp)
    SELECT id, %(level)s::int, %(scope)s::text, %(message)s::text, %(timestamp)s::bigint
    FROM caller
    WHERE %(kept)s::bool AND NOT EXISTS (SELECT FROM exceeded)
)
SELECT caller.alias, exceeded.key, extract(epoch FROM exceeded.expires - now())::float
FROM caller
LEFT JOIN exceeded ON true
ORDER BY exceeded.key DESC
"""


def drop_old_entries() -> int:
    """Delete one batch of entries received more than LOG_KEEP_DAYS ago, oldest first; returns how many."""
    old = LogEntry.objects.filter(received__lt=Now() - timedelta(days=settings.LOG_KEEP_DAYS))
    batch = old.order_by("received").values("pk")[:_BATCH]
    return LogEntry.objects.filter(pk__in=batch).delete()[0]
