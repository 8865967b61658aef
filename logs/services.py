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
# How the key of the counter of bytes begins.
_BYTES = "log bytes"


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


@stepwise
def record(*, worker: Caller, entry: NewEntry) -> Steps[None]:
    """Write an entry to the log file and, if its level is kept, to the database.

    Raises UnknownWorker, and RateLimited if the worker has sent more than LOG_RATE entries or LOG_BYTES_RATE bytes.
    """
    values = {**entry._asdict(), "kept": entry.level.is_kept, **_caller_and_limits(worker, [entry])}
    rows = yield Query(RECORD, values)
    if not rows:
        raise UnknownWorker
    alias = rows[0][0]
    for _alias, key, seconds in rows:
        if key is not None:
            delay = _delay(seconds)
            message = f"Too many {_counted(key)} from this worker; wait {delay:.0f} seconds."
            raise RateLimited(delay=delay, message=message)
    _write(worker, alias, [entry])


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
    kept = [entry for entry in entries if entry.level.is_kept]
    columns = {name: db.array(getattr(entry, name) for entry in kept) for name in NewEntry._fields}
    rows = yield Query(RECORD_MANY, {**columns, **_caller_and_limits(worker, entries)})
    if not rows:
        raise UnknownWorker
    alias = rows[0][0]
    for _alias, key, left, seconds in rows:
        if key is not None:
            delay = _delay(seconds)
            told = f"only {max(left, 0)} fit now, and nothing was stored; wait {delay:.0f} seconds."
            raise RateLimited(delay=delay, message=f"Too many {_counted(key)} from this worker: {told}")
    _write(worker, alias, entries)


def _caller_and_limits(worker: Caller, entries: Sequence[NewEntry]) -> db.Values:
    """The parameters of both statements that say who calls, and what is counted against which limits."""
    most, seconds = parsed_rate(settings.LOG_RATE)
    most_bytes, bytes_seconds = parsed_rate(settings.LOG_BYTES_RATE)
    return {
        "worker": worker.pk,
        "digest": worker.secret_digest,
        "keys": db.array([f"log {worker.pk}", f"{_BYTES} {worker.pk}"]),
        "limits": db.array([most, most_bytes]),
        "amounts": db.array([len(entries), sum(entry.bytes for entry in entries)]),
        "seconds": db.array([seconds, bytes_seconds]),
    }


def _counted(key: str) -> str:
    """What the counter with this key counts."""
    return "bytes of log entries" if key.startswith(_BYTES) else "log entries"


def _delay(seconds: float) -> float:
    return max(float(seconds), 1.0)


def _write(worker: Caller, alias: str, entries: Sequence[NewEntry]) -> None:
    """Write entries to the log file."""
    lines = [_line(entry, worker.pk, alias) for entry in entries]
    logger.log(logging.INFO, "%s log entries", len(lines), extra={"entries": lines})


def _line(entry: NewEntry, worker_id: int, alias: str) -> dict[str, Any]:
    fields = {
        "level": entry.level.name.lower(),
        "message": entry.message,
        "worker": worker_id,
        "worker_alias": alias,
        "scope": entry.scope,
        "timestamp": entry.timestamp,
    }
    return fields if entry.task_id is None else fields | {"task_id": entry.task_id}


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
    INSERT INTO logs_logentry (worker_id, level, scope, message, timestamp, task_id)
    SELECT id, %(level)s::int, %(scope)s::text, %(message)s::text, %(timestamp)s::bigint, %(task_id)s::bigint
    FROM caller
    WHERE %(kept)s::bool AND NOT EXISTS (SELECT FROM exceeded)
)
SELECT caller.alias, exceeded.key, extract(epoch FROM exceeded.expires - now())::float
FROM caller
LEFT JOIN exceeded ON true
ORDER BY exceeded.key DESC
"""


# The same for many entries, of which those in the arrays are stored. Returns also how much is left of a limit.
#
# Entries that can be seen not to fit count for nothing, so that fewer of them may follow. Of two calls at the same
# moment, the second sees only when it counts that the first has taken the rest; it is refused, but has been counted.
# A statement of its own, since planning it takes half as long again as the one above.
RECORD_MANY = """
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
        %(level)s::int[], %(scope)s::text[], %(message)s::text[], %(timestamp)s::bigint[], %(task_id)s::bigint[]
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
