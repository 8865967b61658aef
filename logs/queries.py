"""Read-only queries about log entries."""

from typing import NamedTuple

from django.db.models import Q

from logs.models import Level, LogEntry
from tracker import db, keyset
from tracker.keyset import Cursor

# How many entries a page examines at most.
BOUND = 100_000


def newest(
    *,
    level: Level,
    since: int,
    limit: int,
    before_timestamp: int | None = None,
    before_id: int | None = None,
    worker_id: int | None = None,
) -> list[LogEntry]:
    """The newest entries of this level or more severe, from `since` (Unix seconds) on, newest first.

    `before_timestamp` and `before_id` together are the cursor: the timestamp and id of the last entry of the previous
    page. With `worker_id`, only entries of that worker.
    """
    entries = LogEntry.objects.filter(level__lte=level, timestamp__gte=since)
    if before_timestamp is not None and before_id is not None:
        # The first condition is redundant, but lets the index scan start at the cursor.
        entries = entries.filter(timestamp__lte=before_timestamp).filter(
            Q(timestamp__lt=before_timestamp) | Q(timestamp=before_timestamp, id__lt=before_id)
        )
    if worker_id is not None:
        entries = entries.filter(worker=worker_id)
    return list(entries.select_related("worker").order_by("-timestamp", "-id")[:limit])


class LogCriteria(NamedTuple):
    """What to search for. None is no condition; times are Unix seconds by the workers' clocks.

    `level` includes more severe levels. `scope` and `text` are substrings of the scope and the message.
    """

    level: int | None = None
    scope: str | None = None
    workers: list[int] | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None


class FoundEntries(NamedTuple):
    """The ids of a page, in order, and the cursor of the next page; None at the end.

    `looked` is the number of entries examined if the bound ended the page, otherwise None.
    """

    ids: list[int]
    following: Cursor | None = None
    looked: int | None = None


def find(criteria: LogCriteria, *, after: Cursor | None, limit: int, bound: int = BOUND) -> FoundEntries:
    """The next page of matching entries. Raises BadCursor."""
    timestamp, entry = (2**63 - 1, 2**63 - 1) if after is None else keyset.values(after, int, int)
    values = criteria._asdict() | {
        "scope": db.containing(criteria.scope),
        "text": db.containing(criteria.text),
        "after": timestamp,
        "after_id": entry,
        "bound": bound,
        "skip": 0,
        "limit": limit + 1,
    }
    rows = db.rows(FIND, values)
    ids = [row[1] for row in rows]
    if len(rows) > limit:
        return FoundEntries(ids[:limit], list(rows[limit - 1]))
    anything = {"level": None, "scope": None, "workers": None, "text": None}
    last = db.one(FIND, values | anything | {"skip": bound - 1, "limit": 1})
    return FoundEntries(ids, list(last), bound) if last else FoundEntries(ids)


FIND = """
SELECT timestamp, id
FROM (
    SELECT timestamp, id, level, scope, message, worker_id FROM logs_logentry
    WHERE (timestamp, id) < (%(after)s, %(after_id)s)
      AND timestamp >= coalesce(%(since)s::bigint, 0)
      AND timestamp <= coalesce(%(until)s::bigint, 9223372036854775807)
    ORDER BY timestamp DESC, id DESC
    LIMIT %(bound)s
) AS looked
WHERE (%(level)s::int IS NULL OR level <= %(level)s)
  AND (%(workers)s::bigint[] IS NULL OR worker_id = ANY (%(workers)s::bigint[]))
  AND (%(scope)s::text IS NULL OR scope ILIKE %(scope)s)
  AND (%(text)s::text IS NULL OR message ILIKE %(text)s)
OFFSET %(skip)s LIMIT %(limit)s
"""
