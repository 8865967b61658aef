"""The closed tasks of a project in the order of closing, for readers that come back for more and must miss nothing.

Tasks close in many transactions at once. One that closed a task earlier may commit later, and a reader that had already
gone past would miss it. So readers stop at a time before which no task will close any more; it is kept in Settled.

- A closing takes its time `closed` from the clock, never earlier than the `until` and `next_until` of Settled, once its
  transaction has changed a row and so has got its transaction id.
- To move on, `next_until` is set to the present time. When that is committed, `next_xid` is set to a new transaction
  id. Transactions with a higher id see `next_until` and close nothing before it. Once all those with a lower id have
  ended, `next_until` becomes `until`.

While transactions are short, this takes some milliseconds. A transaction that stays open for long after it has written
something, in whatever database of the same server, holds the readers back until it ends; they miss nothing either way.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from tracker import db, keyset
from tracker.keyset import Cursor

# How often a reader looks whether everything up to the present time is settled, and how long it waits in between.
LOOKS, PAUSE_SECONDS = 6, 0.005


#: The cursor before the first result.
BEGINNING: Cursor = ["1970-01-01T00:00:00+00:00", 0]


class Result(NamedTuple):
    """A closed task. `output` is JSON text; the times are in Unix seconds, with a fraction."""

    id: int
    recipe: str
    priority: int
    retries: int
    hash64: int | None
    verification: int
    worker_id: int
    voters: list[int]
    votes: list[int | None]
    created: float
    assign_time: float
    closed: float
    submitter_id: int | None
    version: str
    message: str | None
    output: str | None
    seconds: float | None

    def content(self) -> dict[str, Any]:
        """The object of the API; `output` as the value that was sent."""
        output = None if self.output is None else orjson.Fragment(self.output)
        return self._asdict() | {"output": output}


class Page(NamedTuple):
    """Some results, and the cursor behind them. `is_last`: there are no more for the moment."""

    results: list[Result]
    cursor: Cursor
    is_last: bool


def page(project_id: int, *, after: Cursor | None, limit: int, most_bytes: int) -> Page:
    """The next results behind a cursor: `limit` of them or fewer, and as many as `most_bytes` hold, but at least one.

    Raises BadCursor.
    """
    closed, task_id = place(BEGINNING if after is None else after)
    values = {"project": project_id, "closed": closed, "id": task_id, "limit": limit, "most_bytes": most_bytes}
    rows = db.rows(PAGE, values | {"until": settle()})
    if not rows:
        return Page([], [closed, task_id], is_last=True)
    *_, there_are, last_closed = rows[-1]
    results = [Result(*row[:-2]) for row in rows]
    return Page(results, [last_closed, results[-1].id], is_last=there_are < limit and there_are == len(rows))


def place(cursor: Cursor) -> tuple[datetime, int]:
    """The time and the id that a cursor consists of. Raises BadCursor."""
    closed, task_id = keyset.values(cursor, datetime, int)
    return closed, task_id


def lines(
    project_id: int, *, after: Cursor | None, limit: int, most_bytes: int, ended: Callable[[], bool] | None = None
) -> Iterator[tuple[list[Result], Cursor]]:
    """All results behind a cursor, page by page, each with the cursor behind it. Raises BadCursor.

    Ends with the last one that there is, or, if `ended` is given, goes on until it returns True; it is asked after each
    page that is the last for the moment, and should wait a little.
    """
    while True:
        found = page(project_id, after=after, limit=limit, most_bytes=most_bytes)
        after = found.cursor
        if found.results:
            yield found.results, after
        if found.is_last and (ended is None or ended()):
            return


def settle(*, pause: Callable[[float], None] = time.sleep) -> datetime:
    """The time before which no task will close any more: the present one, if no transaction holds it back."""
    ((asked, until),) = db.rows(READ)
    for look in range(LOOKS):
        if until is not None and until >= asked:
            break
        if look:
            pause(PAUSE_SECONDS)
        for step in (BEGIN, ADVANCE, PROPOSE, NUMBER):
            db.affected(step)
        ((_now, until),) = db.rows(READ)
    settled: datetime = until
    return settled


READ = "SELECT clock_timestamp(), (SELECT until FROM tasks_settled WHERE id = 1)"

BEGIN = "INSERT INTO tasks_settled (id, until) VALUES (1, '1970-01-01Z') ON CONFLICT DO NOTHING"

# A next_xid that is not in the past comes from another server, from where the database was moved.
ADVANCE = """
UPDATE tasks_settled
SET until = CASE WHEN next_xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint THEN next_until ELSE until END,
    next_until = NULL, next_xid = NULL
WHERE id = 1 AND (
    next_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    OR next_xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
)
"""

PROPOSE = """
UPDATE tasks_settled SET next_until = greatest(clock_timestamp(), until), next_xid = NULL
WHERE id = 1 AND next_until IS NULL
"""

NUMBER = """
UPDATE tasks_settled SET next_xid = pg_current_xact_id()::text::bigint
WHERE id = 1 AND next_until IS NOT NULL AND next_xid IS NULL
"""

# Uses the index closedtask_by_time.
PAGE = """
SELECT id, recipe, priority, retries, hash64, verification, worker_id, voters, votes,
       extract(epoch FROM created)::float8, extract(epoch FROM assign_time)::float8,
       extract(epoch FROM closed)::float8, submitter_id, version, message, output, seconds,
       there_are, closed
FROM (
    SELECT *, sum(octet_length(recipe) + coalesce(octet_length(output), 0) + 500) OVER in_order AS bytes,
           row_number() OVER in_order AS place, count(*) OVER () AS there_are
    FROM (
        SELECT * FROM tasks_closedtask
        WHERE project_id = %(project)s AND closed < %(until)s AND (closed, id) > (%(closed)s, %(id)s)
        ORDER BY closed, id LIMIT %(limit)s
    ) AS next
    WINDOW in_order AS (ORDER BY closed, id ROWS UNBOUNDED PRECEDING)
) AS summed
WHERE place = 1 OR bytes <= %(most_bytes)s
ORDER BY closed, id
"""
