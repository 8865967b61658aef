"""Searching closed tasks for the admin's list, newest first. Uses the index closedtask_by_time, project by project."""

from datetime import datetime
from typing import Any, NamedTuple

from tracker import db, keyset
from tracker.keyset import Cursor

# How many closed tasks a page examines at most when it searches for a text.
BOUND = 10_000


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
    values: dict[str, Any] = criteria._asdict() | {"after": moment, "after_id": task, "limit": limit + 1}
    if criteria.text is not None:
        return _search(values | {"text": db.containing(criteria.text), "bound": bound}, limit)
    rows = db.rows(FIND, values)
    return FoundClosed([row[0] for row in rows[:limit]], list(rows[limit - 1]) if len(rows) > limit else None)


def _search(values: dict[str, Any], limit: int) -> FoundClosed:
    seen = db.rows(SEARCH, values)
    rows = [row[:2] for row in seen if row[2]]
    ids = [row[0] for row in rows[:limit]]
    if len(rows) > limit:
        return FoundClosed(ids, list(rows[limit - 1]))
    is_bounded = bool(seen) and seen[-1][3] == values["bound"]
    return FoundClosed(ids, list(seen[-1][:2]), values["bound"]) if is_bounded else FoundClosed(ids)


_NEWEST = """
    SELECT id, closed, recipe FROM tasks_closedtask
    WHERE project_id = part.project
      AND closed >= coalesce(%(since)s::timestamptz, '-infinity')
      AND closed <= coalesce(%(until)s::timestamptz, 'infinity')
      AND (closed, id) < (%(after)s::timestamptz, %(after_id)s)
    ORDER BY closed DESC, id DESC
""".strip()

# Merges the newest `limit` tasks of each project.
FIND = f"""
SELECT task.id, task.closed::text
FROM unnest(%(projects)s::bigint[]) AS part (project)
CROSS JOIN LATERAL (
    {_NEWEST} LIMIT %(limit)s
) AS task
ORDER BY task.closed DESC, task.id DESC
LIMIT %(limit)s
"""

# The matching ones of the newest `bound` tasks, and the last of these, whether it matches or not.
SEARCH = f"""
SELECT id, closed::text, matches, place FROM (
    SELECT id, closed, recipe ILIKE %(text)s AS matches, row_number() OVER () AS place
    FROM (
        SELECT task.* FROM unnest(%(projects)s::bigint[]) AS part (project)
        CROSS JOIN LATERAL (
            {_NEWEST} LIMIT %(bound)s
        ) AS task
        LIMIT %(bound)s
    ) AS looked
) AS placed
WHERE matches OR place = %(bound)s
LIMIT %(limit)s
"""

BY_ID = "SELECT id FROM tasks_closedtask WHERE id = %(task)s AND project_id = ANY (%(projects)s)"
