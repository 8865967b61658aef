"""Finding closed tasks for the admin's list, the newest first, by closedtask_by_time of each project."""

from datetime import datetime
from typing import Any, NamedTuple

from tracker import db
from tracker.keyset import Cursor

# Closed tasks that a page looks through for a text.
BOUND = 30_000


class ClosedCriteria(NamedTuple):
    """What to look for: of these projects, closed between two times, with this id or text in the recipe.

    None is no condition. A text is looked for in one project only: the newest of many are not one walk.
    """

    projects: list[int]
    since: datetime | None = None
    until: datetime | None = None
    task: int | None = None
    text: str | None = None


class FoundClosed(NamedTuple):
    """As tasks.queries.search.Found, with the time down to which it was looked."""

    ids: list[int]
    following: Cursor | None = None
    looked: int | None = None


def find(criteria: ClosedCriteria, *, after: Cursor | None, limit: int, bound: int = BOUND) -> FoundClosed:
    """The next closed tasks that match."""
    if criteria.task is not None:
        rows = db.rows(BY_ID, {"task": criteria.task, "projects": criteria.projects})
        return FoundClosed([row[0] for row in rows])
    values: dict[str, Any] = criteria._asdict() | {
        "text": db.containing(criteria.text),
        "after": _time_of(after) or "infinity",
        "after_id": int(after[0]) if after and _time_of(after) else 0,
        "each": limit + 1 if criteria.text is None else bound,
        "skip": 0,
        "limit": limit + 1,
    }
    rows = db.rows(FIND, values)
    if len(rows) > limit:
        return FoundClosed([row[0] for row in rows[:limit]], list(rows[limit - 1]))
    ids = [row[0] for row in rows]
    if criteria.text is None:
        return FoundClosed(ids)
    last = db.one(FIND, values | {"text": None, "skip": bound - 1, "limit": 1})
    return FoundClosed(ids, list(last), bound) if last else FoundClosed(ids)


def _time_of(after: Cursor | None) -> str | None:
    """The time in a place; None if it is no place in this list."""
    try:
        return datetime.fromisoformat(after[1]).isoformat() if after and isinstance(after[0], int) else None
    except (ValueError, TypeError, IndexError):
        return None


# The newest `each` of each project, and of those the newest.
FIND = """
SELECT task.id, task.closed::text
FROM unnest(%(projects)s::bigint[]) AS part (project)
CROSS JOIN LATERAL (
    SELECT id, closed, recipe FROM tasks_closedtask
    WHERE project_id = part.project
      AND closed >= coalesce(%(since)s::timestamptz, '-infinity')
      AND closed <= coalesce(%(until)s::timestamptz, 'infinity')
      AND (closed, id) < (%(after)s::timestamptz, %(after_id)s)
    ORDER BY closed DESC, id DESC
    LIMIT %(each)s
) AS task
WHERE %(text)s::text IS NULL OR task.recipe ILIKE %(text)s
ORDER BY task.closed DESC, task.id DESC
OFFSET %(skip)s LIMIT %(limit)s
"""

BY_ID = "SELECT id FROM tasks_closedtask WHERE id = %(task)s AND project_id = ANY (%(projects)s)"
