"""Searching closed tasks for the admin's list, newest first. Uses the index closedtask_by_time, project by project."""

from datetime import datetime
from typing import Any, NamedTuple

from tracker import db, keyset
from tracker.keyset import Cursor

# How many closed tasks a page examines at most when it searches for a text.
BOUND = 30_000


class ClosedCriteria(NamedTuple):
    """What to search for: tasks of these projects, closed between two times, with this id or text in the recipe.

    None is no condition. A text can be searched for in one project only: the newest tasks of several projects are not
    a single index scan.
    """

    projects: list[int]
    since: datetime | None = None
    until: datetime | None = None
    task: int | None = None
    text: str | None = None


class FoundClosed(NamedTuple):
    """Like tasks.queries.search.Found; the cursor is the id and the time of the last task examined."""

    ids: list[int]
    following: Cursor | None = None
    looked: int | None = None


def find(criteria: ClosedCriteria, *, after: Cursor | None, limit: int, bound: int = BOUND) -> FoundClosed:
    """The next page of matching closed tasks. Raises BadCursor."""
    task, moment = (0, "infinity") if after is None else keyset.values(after, int, datetime)
    if criteria.task is not None:
        rows = db.rows(BY_ID, {"task": criteria.task, "projects": criteria.projects})
        return FoundClosed([row[0] for row in rows])
    values: dict[str, Any] = criteria._asdict() | {
        "text": db.containing(criteria.text),
        "after": moment,
        "after_id": task,
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


# Merges the newest `each` tasks of each project.
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
