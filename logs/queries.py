"""Read-only queries about log entries."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings

from logs.models import Level, LogEntry
from tracker import db, keyset
from tracker.keyset import Cursor
from tracker.steps import Rows

# How many entries a page examines at most.
BOUND = 100_000
# The end of the year 9999, the limit of Python's datetime.
LATEST = 253_402_300_799


# Clocks of workers may be wrong by so much: entries whose `timestamp` is later than they were received are found by
# `since` up to there.
WRONG_BY_SECONDS = 86_400


class LogPage(NamedTuple):
    """The entries of a page, and the id of the one behind which the next page begins; None at the end."""

    entries: list[LogEntry]
    before_id: int | None = None


def newest(
    *,
    level: Level,
    since: int,
    limit: int,
    before_timestamp: int | None = None,
    before_id: int | None = None,
    worker_id: int | None = None,
    task_id: int | None = None,
    most_bytes: int | None = None,
) -> LogPage:
    """The last entries of this level or more severe, the last received first.

    Of those whose `timestamp` is `since` (Unix seconds) or later. `before_id` is the cursor, the id of the last entry
    of the previous page; `before_timestamp`, its timestamp, is not needed. With `worker_id` and `task_id`, only entries
    of that worker and about that task. The page ends early where its entries have more than `most_bytes`, by default
    MAX_BATCH_BYTES.
    """
    criteria = LogCriteria(
        level=level,
        workers=None if worker_id is None else [worker_id],
        task=task_id,
        since=max(min(since, LATEST) - WRONG_BY_SECONDS, 0),
        told_since=since,
    )
    after: Cursor | None = None
    if before_id is not None:
        place = db.one(PLACE, {"id": before_id})
        if place is None:
            return LogPage([])
        after = [place[0], before_id]
    found = find(
        criteria, after=after, limit=limit, most_bytes=settings.MAX_BATCH_BYTES if most_bytes is None else most_bytes
    )
    return LogPage(entries(found), found.following[1] if found.following else None)


class LogCriteria(NamedTuple):
    """What to search for. None is no condition; `since` and `until` are Unix seconds, when an entry was received.

    `level` includes more severe levels. `scope` is a substring of the scope, `text` one of the message or the scope.
    `told_since` is by the workers' clocks.
    """

    level: int | None = None
    scope: str | None = None
    workers: list[int] | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    task: int | None = None
    told_since: int | None = None


class FoundEntries(NamedTuple):
    """The ids of a page, in order, and the cursor of the next page; None at the end.

    `looked` is the number of entries examined if the bound ended the page, otherwise None.
    """

    ids: list[int]
    following: Cursor | None = None
    looked: int | None = None


def find(
    criteria: LogCriteria, *, after: Cursor | None, limit: int, bound: int = BOUND, most_bytes: int | None = None
) -> FoundEntries:
    """The next page of matching entries, the last received first. Raises BadCursor."""
    received, entry = (None, 0) if after is None else keyset.values(after, datetime, int)
    alone = criteria.workers if criteria.task is None and criteria.workers and len(criteria.workers) == 1 else [None]
    values = criteria._asdict() | {
        "worker": alone[0],
        "scope": db.containing(criteria.scope),
        "text": db.containing(criteria.text),
        "after": received,
        "after_id": entry,
        "bound": bound,
        "limit": limit + 1,
    }
    seen = db.rows(FIND, values)
    rows = [row[:3] for row in seen if row[3]]
    kept = len(rows[:limit]) if most_bytes is None else _fitting(rows[:limit], most_bytes)
    ids = [row[1] for row in rows[:kept]]
    if len(rows) > kept:
        return FoundEntries(ids, list(rows[kept - 1][:2]))
    is_bounded = bool(seen) and seen[-1][4] == bound
    return FoundEntries(ids, list(seen[-1][:2]), bound) if is_bounded else FoundEntries(ids)


def entries(found: FoundEntries) -> list[LogEntry]:
    """The entries of a page, with their workers."""
    rows = LogEntry.objects.select_related("worker").in_bulk(found.ids)
    return [rows[pk] for pk in found.ids if pk in rows]


def _fitting(rows: Rows, most_bytes: int) -> int:
    """How many of these rows have so many bytes together; at least one, if there is any."""
    for number, row in enumerate(rows):
        most_bytes -= row[2]
        if most_bytes < 0:
            return max(number, 1)
    return len(rows)


# Uses the index logentry_of_task where a task is asked for, else logentry_of_worker where a single worker is, else
# logentry_by_receipt; all that is beyond it is looked for among the entries that these bounds leave. The driver writes
# the parameters into the statement, so the planner drops the conditions of those that are NULL. The last one examined
# comes, too, whether it matches or not.
FIND = """
SELECT received, id, bytes, matches, place
FROM (
    SELECT received, id, bytes, row_number() OVER () AS place,
           ((%(level)s::int IS NULL OR level <= %(level)s)
            AND (%(workers)s::bigint[] IS NULL OR worker_id = ANY (%(workers)s::bigint[]))
            AND (%(scope)s::text IS NULL OR scope ILIKE %(scope)s)
            AND (%(text)s::text IS NULL OR message ILIKE %(text)s OR scope ILIKE %(text)s)
            AND (%(told_since)s::bigint IS NULL OR timestamp >= %(told_since)s)) IS TRUE AS matches
    FROM (
        SELECT received, id, level, scope, message, worker_id, timestamp,
               octet_length(scope) + octet_length(message) AS bytes
        FROM logs_logentry
        WHERE (received, id) < (coalesce(%(after)s::timestamptz, 'infinity'), %(after_id)s::bigint)
          AND received >= to_timestamp(coalesce(%(since)s::bigint, 0))
          AND received <= coalesce(to_timestamp(%(until)s::bigint), 'infinity')
          AND (%(task)s::bigint IS NULL OR task_id = %(task)s::bigint)
          AND (%(worker)s::bigint IS NULL OR worker_id = %(worker)s::bigint)
        ORDER BY received DESC, id DESC
        LIMIT %(bound)s
    ) AS looked
) AS placed
WHERE matches OR place = %(bound)s
LIMIT %(limit)s
"""

# When an entry was received; of one that has been deleted, the one before it.
PLACE = "SELECT received FROM logs_logentry WHERE id <= %(id)s ORDER BY id DESC LIMIT 1"
