"""Questions about the log. They only read."""

from typing import NamedTuple

from django.db.models import Q

from logs.models import Level, LogEntry
from tracker import db
from tracker.keyset import Cursor

# Entries that a page looks through.
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
    """Entries of this level or graver, from `since` (Unix seconds) on, newest first.

    With both `before_…`, which are the timestamp and id of an entry, only what comes after it in this order; with
    `worker_id`, only that worker's.
    """
    entries = LogEntry.objects.filter(level__lte=level, timestamp__gte=since)
    if before_timestamp is not None and before_id is not None:
        # The first condition follows from the second; it lets the index be entered at the right place.
        entries = entries.filter(timestamp__lte=before_timestamp).filter(
            Q(timestamp__lt=before_timestamp) | Q(timestamp=before_timestamp, id__lt=before_id)
        )
    if worker_id is not None:
        entries = entries.filter(worker=worker_id)
    return list(entries.select_related("worker").order_by("-timestamp", "-id")[:limit])


class LogCriteria(NamedTuple):
    """What to look for. None is no condition; times are Unix seconds by the workers' clocks.

    `level` means it and graver ones; `scope` and `text` are looked for anywhere in theirs.
    """

    level: int | None = None
    scope: str | None = None
    workers: list[int] | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None


class FoundEntries(NamedTuple):
    """Ids of a page, in order, and the place after which it goes on; None at the end.

    `looked` is None unless the bound ended the page: then it is how many entries were looked through.
    """

    ids: list[int]
    following: Cursor | None = None
    looked: int | None = None


def find(criteria: LogCriteria, *, after: Cursor | None, limit: int, bound: int = BOUND) -> FoundEntries:
    """The next entries that match."""
    is_place = after is not None and len(after) == 2 and all(isinstance(one, int) for one in after)
    timestamp, entry = after if after is not None and is_place else (2**63 - 1, 2**63 - 1)
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
