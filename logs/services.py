"""Operations on log entries."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models.functions import Now

from logs.models import Level, LogEntry
from tracker import db
from tracker.api.errors import InvalidField, RateLimited
from tracker.api.throttle import parsed_rate
from tracker.steps import Query, Steps, stepwise
from workers.identity import Caller, UnknownWorker

logger = logging.getLogger("worker_log")

_BATCH = 10_000


class NewEntry(NamedTuple):
    """An entry that a worker reports. `timestamp` in Unix seconds; `task_id`: the task that it is about, if any."""

    level: Level
    scope: str
    message: str
    timestamp: int
    task_id: int | None = None

    @property
    def bytes(self) -> int:
        """What counts towards LOG_BYTES_RATE."""
        return len(self.scope.encode()) + len(self.message.encode())


class Exceeded(NamedTuple):
    """A limit that entries would exceed: of what, how much is left of it, and until when, in seconds."""

    what: str
    left: int
    seconds: float


@stepwise
def record(*, worker: Caller, entry: NewEntry) -> Steps[None]:
    """Write an entry to the log file and, if its level is kept, to the database.

    Raises UnknownWorker, and RateLimited if the worker has sent more than LOG_RATE entries or LOG_BYTES_RATE bytes.
    """
    exceeded = yield from _record(worker, [entry])
    if exceeded:
        delay, what = exceeded.seconds, exceeded.what
        raise RateLimited(delay=delay, message=f"Too many {what} from this worker; wait {delay:.0f} seconds.")


@stepwise
def record_many(*, worker: Caller, entries: Sequence[NewEntry]) -> Steps[None]:
    """Write entries, in their order, all or none of them.

    Raises what `record` raises, and InvalidField if there are more than a worker may ever send at once.
    """
    most, _seconds = parsed_rate(settings.LOG_RATE)
    if most is not None and len(entries) > most:
        problem = f"must hold at most {most} items, as this tracker lets a worker send {settings.LOG_RATE}"
        raise InvalidField("entries", f"{problem}; send fewer at a time.")
    most, _seconds = parsed_rate(settings.LOG_BYTES_RATE)
    if most is not None and (size := sum(entry.bytes for entry in entries)) > most:
        problem = (
            f"must have at most {most} bytes together, as this tracker lets a worker send {settings.LOG_BYTES_RATE}"
        )
        raise InvalidField("entries", f"{problem}, not {size}; send fewer at a time.")
    exceeded = yield from _record(worker, entries)
    if exceeded:
        delay, what = exceeded.seconds, exceeded.what
        left = f"only {exceeded.left} fit now, and nothing was stored"
        raise RateLimited(delay=delay, message=f"Too many {what} from this worker: {left}; wait {delay:.0f} seconds.")


def _record(worker: Caller, entries: Sequence[NewEntry]) -> Steps[Exceeded | None]:
    """Write the entries; the limit that they would exceed, if there is one. Raises UnknownWorker."""
    most, seconds = parsed_rate(settings.LOG_RATE)
    most_bytes, bytes_seconds = parsed_rate(settings.LOG_BYTES_RATE)
    keys = [f"log {worker.pk}", f"log bytes {worker.pk}"]
    kept = [entry for entry in entries if entry.level.is_kept]
    values = {
        "worker": worker.pk,
        "digest": worker.secret_digest,
        "levels": db.array(entry.level for entry in kept),
        "scopes": db.array(entry.scope for entry in kept),
        "messages": db.array(entry.message for entry in kept),
        "timestamps": db.array(entry.timestamp for entry in kept),
        "tasks": db.array(entry.task_id for entry in kept),
        "keys": db.array(keys),
        "limits": db.array([most, most_bytes]),
        "amounts": db.array([len(entries), sum(entry.bytes for entry in entries)]),
        "seconds": db.array([seconds, bytes_seconds]),
    }
    rows = yield Query(RECORD, values)
    if not rows:
        raise UnknownWorker
    alias, key, left, wait = rows[0]
    if key is not None:
        what = "log entries" if key == keys[0] else "bytes of log entries"
        return Exceeded(what, max(left, 0), max(float(wait), 1.0))
    lines = [_line(entry, worker.pk, alias) for entry in entries]
    logger.log(logging.INFO, "%s log entries", len(lines), extra={"entries": lines})
    return None


def _line(entry: NewEntry, worker_id: int, alias: str) -> dict[str, Any]:
    """The entry as in the log file."""
    fields = {
        "level": entry.level.name.lower(),
        "message": entry.message,
        "worker": worker_id,
        "worker_alias": alias,
        "scope": entry.scope,
        "timestamp": entry.timestamp,
    }
    return fields if entry.task_id is None else fields | {"task_id": entry.task_id}


# Finds out who calls, counts the entries and their bytes, and stores those of the levels that are kept, unless there
# have been too many. Returns the limits that are exceeded, first that of entries, or one row without a key.
#
# What can be seen not to fit counts for nothing, so that less of it may follow. Of two calls at the same moment, the
# second sees only when it counts that the first has taken the rest; it is refused as well, but has been counted.
RECORD = """
WITH caller AS (
    SELECT id, alias FROM workers_worker WHERE id = %(worker)s AND secret_digest = %(digest)s
), limited AS (
    SELECT asked.*, coalesce(counter.value, 0) AS value,
           coalesce(counter.expires, now() + make_interval(secs => asked.seconds)) AS expires
    FROM unnest(%(keys)s::text[], %(limits)s::bigint[], %(amounts)s::bigint[], %(seconds)s::int[])
        AS asked (key, most, amount, seconds)
    LEFT JOIN tracker_counter AS counter ON counter.key = asked.key AND counter.expires > now()
    WHERE asked.most IS NOT NULL
), overfull AS (
    SELECT key, most - value AS room, expires FROM limited WHERE value + amount > most
), counted AS (
    INSERT INTO tracker_counter AS counter (key, value, expires)
    SELECT limited.key, limited.amount, now() + make_interval(secs => limited.seconds)
    FROM caller, limited
    WHERE NOT EXISTS (SELECT FROM overfull)
    ORDER BY limited.key
    ON CONFLICT (key) DO UPDATE SET
        value = CASE WHEN counter.expires > now() THEN counter.value + excluded.value ELSE excluded.value END,
        expires = CASE WHEN counter.expires > now() THEN counter.expires ELSE excluded.expires END
    RETURNING key, value, expires
), exceeded AS (
    SELECT key, room, expires FROM overfull
    UNION ALL
    SELECT counted.key, limited.most - counted.value, counted.expires
    FROM counted JOIN limited ON limited.key = counted.key
    WHERE counted.value > limited.most
), stored AS (
    INSERT INTO logs_logentry (worker_id, level, scope, message, timestamp, task_id)
    SELECT caller.id, entry.level, entry.scope, entry.message, entry.timestamp, entry.task_id
    FROM caller, unnest(
        %(levels)s::int[], %(scopes)s::text[], %(messages)s::text[], %(timestamps)s::bigint[], %(tasks)s::bigint[]
    ) WITH ORDINALITY AS entry (level, scope, message, timestamp, task_id, position)
    WHERE NOT EXISTS (SELECT FROM exceeded)
    ORDER BY entry.position
)
SELECT caller.alias, exceeded.key, exceeded.room, extract(epoch FROM exceeded.expires - now())::float
FROM caller
LEFT JOIN exceeded ON true
ORDER BY exceeded.key DESC
"""


def drop_old_entries() -> int:
    """Delete one batch of entries received more than LOG_KEEP_DAYS ago, oldest first; returns how many."""
    old = LogEntry.objects.filter(received__lt=Now() - timedelta(days=settings.LOG_KEEP_DAYS))
    batch = old.order_by("received").values("pk")[:_BATCH]
    return LogEntry.objects.filter(pk__in=batch).delete()[0]
