"""Searching tasks for the admin's list and for operations on all matching tasks, however many tasks there are.

A search scans one index after the other in index order, with keyset pagination, so the cost of a page does not depend
on its position. Where no index covers a condition, a page ends after BOUND tasks have been examined, and says so.

The scans determine the order. Over all projects: newest first, or oldest first if a minimum age is given. Over chosen
projects: leased, then delayed, failed, and ready tasks; with a state or workers, only one kind. Each kind goes project
by project: leased tasks by the end of the lease, delayed ones by their time, failed and awaiting tasks newest first,
ready tasks in the order of leasing.
"""

from collections.abc import Iterator
from datetime import datetime
from types import NoneType
from typing import Any, NamedTuple

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from tasks.models import AWAITING
from tasks.queue.ageing import aged
from tracker import db, keyset
from tracker.keyset import Cursor

# How many tasks a page examines at most in each scan, and a count in all of them.
BOUND = 10_000
COUNTED = 20_000

_LAST_ID = 2**63 - 1
_PRIORITIES = (-(2**15), 2**15 - 1)
_RANKS = (-(2**63), 2**63 - 1)


class State(models.TextChoices):
    """A state of a task. `awaiting` tasks are also ready, leased or delayed."""

    READY = "ready", _("ready")
    LEASED = "leased", _("leased")
    DELAYED = "delayed", _("delayed")
    FAILED = "failed", _("failed")
    AWAITING = "awaiting", _("awaiting verification")


class Criteria(NamedTuple):
    """What to search for: tasks of these projects that meet every condition that is not None.

    `everywhere` says that `projects` are all projects. A task has to be in all of the `states`. `ids` and `hash64` are
    looked up directly; with both, a task needs to match only one. `older` and `younger` are ages in seconds at
    `moment`, by default now. `text` is searched for in the recipe. `failure` is the fingerprint of a
    FailureGroup: only failed tasks of that group match. Tasks with an id above `newest` are left out.
    `least_priority` and `most_priority` bound the priority.
    """

    projects: list[int]
    everywhere: bool = False
    states: tuple[State, ...] = ()
    ids: list[int] | None = None
    hash64: int | None = None
    priority: int | None = None
    workers: list[int] | None = None
    older: float | None = None
    younger: float | None = None
    retries: int | None = None
    text: str | None = None
    failure: int | None = None
    moment: datetime | None = None
    newest: int = _LAST_ID
    least_priority: int | None = None
    most_priority: int | None = None

    @property
    def is_lookup(self) -> bool:
        """Whether the tasks are looked up by id or hash."""
        return self.ids is not None or self.hash64 is not None

    def values(self, walked: str = "") -> dict[str, Any]:
        """The parameters of MATCHING, without the state that the scan implies: checking it would read the rows."""
        states = [state.value for state in self.states if state != walked]
        return self._asdict() | {"text": db.containing(self.text), "states": states}


class Found(NamedTuple):
    """The ids of a page, in order, and the cursor of the next page; None at the end.

    `looked` is the number of tasks examined if the bound ended the page, otherwise None.
    """

    ids: list[int]
    following: Cursor | None
    looked: int | None


class Counted(NamedTuple):
    """How many tasks match, by project. `complete` is False if counting stopped at its bound."""

    by_project: dict[int, int]
    complete: bool

    @property
    def total(self) -> int:
        return sum(self.by_project.values())


class _Step(NamedTuple):
    """An index scan: its name in _WALK, and the parameters that say where it begins."""

    name: str
    values: dict[str, Any]

    @property
    def walked(self) -> str:
        """The state of all scanned tasks; the name of the scan if it implies no state."""
        return {"same_rank": "ready", "alike": "failed"}.get(self.name, self.name)


def find(criteria: Criteria, *, after: Cursor | None = None, limit: int, bound: int = BOUND) -> Found:
    """The next page of matching tasks. Raises BadCursor."""
    with transaction.atomic():
        db.rows(WALK_ALONG)
        return _find(criteria, after, limit, bound)


def _find(criteria: Criteria, after: Cursor | None, limit: int, bound: int) -> Found:
    rows: list[tuple[Any, ...]] = []
    for step in _steps(criteria, after):
        values = criteria.values(step.walked) | step.values | {"bound": bound, "limit": limit + 1 - len(rows)}
        seen = [(step.name, *row) for row in db.rows(_FIND[step.name], values)]
        rows += [row[:-2] for row in seen if row[-2]]
        if len(rows) > limit:
            return Found([row[1] for row in rows[:limit]], list(rows[limit - 1]), None)
        if seen and seen[-1][-1] == bound:
            return Found([row[1] for row in rows], list(seen[-1][:-2]), bound)
    return Found([row[1] for row in rows], None, None)


def find_all(criteria: Criteria, *, limit: int) -> Iterator[list[int]]:
    """All matching tasks, in batches of ids. Misses tasks that move to a position before the cursor meanwhile."""
    after: Cursor | None = None
    while True:
        found = find(criteria, after=after, limit=limit)
        if found.ids:
            yield found.ids
        if found.following is None:
            return
        after = found.following


def count(criteria: Criteria, *, bound: int | None = None) -> Counted:
    """How many tasks match, among the first `bound` examined ones, by default COUNTED."""
    with transaction.atomic():
        db.rows(WALK_ALONG)
        return _count(criteria, COUNTED if bound is None else bound)


def _count(criteria: Criteria, left: int) -> Counted:
    by_project: dict[int, int] = {}
    for step in _steps(criteria, None):
        values = criteria.values(step.walked) | step.values | {"bound": left}
        for project_id, matching, seen in db.rows(_COUNT[step.name], values):
            left -= seen
            if matching:
                by_project[project_id] = by_project.get(project_id, 0) + matching
        if left <= 0:
            break
    return Counted(by_project, left > 0)


def _steps(criteria: Criteria, after: Cursor | None) -> list[_Step]:
    """The scans that find the matching tasks, from a cursor on. Raises BadCursor."""
    names = _walks(criteria)
    if after is None:
        return [step for one in names for step in _begin(one, criteria)]
    name = "ready" if after[:1] == ["same_rank"] else "".join(map(str, after[:1]))
    if name not in names:
        raise keyset.BadCursor
    here = _go_on(name, criteria, after[1:])
    return [*here, *(step for one in names[names.index(name) + 1 :] for step in _begin(one, criteria))]


def _walks(criteria: Criteria) -> list[str]:
    if criteria.is_lookup:
        return ["lookup"]
    if criteria.failure is not None:
        return ["alike"]
    if criteria.states:
        return [criteria.states[0].value]
    if criteria.workers is not None:
        return ["leased"]
    if criteria.everywhere:
        # Begin at the end where most of the matching tasks are.
        return ["newest"] if criteria.older is None else ["oldest"]
    return ["leased", "delayed", "failed", "ready"]


def _begin(name: str, criteria: Criteria) -> list[_Step]:
    match name:
        case "newest" | "lookup":
            return [_Step(name, {"below": _LAST_ID})]
        case "oldest":
            return [_Step(name, {"above": 0})]
        case _:
            return [_Step(name, _parts(name, criteria, criteria.projects))]


def _go_on(name: str, criteria: Criteria, key: Cursor) -> list[_Step]:
    """The rest of a scan after the task with this key: its id, its project, and its other sort key or None."""
    own_kinds: dict[str, type] = {"leased": datetime, "delayed": datetime, "ready": str}
    task, project, own = keyset.values(key, int, int, own_kinds.get(name, NoneType))
    rank = _rank_in(own) if name == "ready" else 0
    if name in ("newest", "lookup"):
        return [_Step(name, {"below": task})]
    if name == "oldest":
        return [_Step(name, {"above": task})]
    parts = _parts(name, criteria, [one for one in criteria.projects if one >= project])
    if project not in criteria.projects:
        return [_Step(name, parts)]
    if name in ("leased", "delayed"):
        parts["since"][0], parts["above"][0] = own.isoformat(), task
        return [_Step(name, parts)]
    if name == "ready":
        # The rest of this rank is a separate range; otherwise the index would be scanned from its beginning.
        rest = {"project": project, "at_rank": rank, "above": task}
        if rank == _RANKS[0]:
            parts = _parts(name, criteria, [one for one in criteria.projects if one > project])
        else:
            parts["highest"][0] = rank - 1
        return [_Step("same_rank", rest), _Step(name, parts)]
    parts["below"][0] = task
    return [_Step(name, parts)]


def _rank_in(text: str) -> int:
    """The rank in a cursor. Raises BadCursor."""
    try:
        rank = int(text)
    except ValueError as error:
        raise keyset.BadCursor from error
    if not _RANKS[0] <= rank <= _RANKS[1]:
        raise keyset.BadCursor
    return rank


def _range_of(criteria: Criteria) -> tuple[int, int]:
    """The lowest and the highest priority that may match."""
    if criteria.priority is not None:
        return criteria.priority, criteria.priority
    lowest, highest = criteria.least_priority, criteria.most_priority
    return _PRIORITIES[0] if lowest is None else lowest, _PRIORITIES[1] if highest is None else highest


def _parts(name: str, criteria: Criteria, projects: list[int]) -> dict[str, Any]:
    """For each project, where the scan of its part of the index begins."""
    parts: dict[str, Any] = {"part": projects}
    if name in ("leased", "delayed"):
        return parts | {"since": ["-infinity"] * len(projects), "above": [0] * len(projects)}
    if name == "ready":
        lowest, highest = [_RANKS[0]] * len(projects), [_RANKS[1]] * len(projects)
        least, most = _range_of(criteria)
        if (least, most) != _PRIORITIES:
            # Where tasks age, those of one priority are anywhere.
            everywhere = aged(projects)
            for place, project in enumerate(projects):
                if project not in everywhere:
                    lowest[place], highest[place] = least, most
        return parts | {"highest": highest, "lowest": lowest}
    return parts | {"below": [_LAST_ID] * len(projects)}


# The condition for a matching task. The planner removes the parts whose parameter is null.
MATCHING = f"""
    ('ready' <> ALL (%(states)s::text[]) OR status = 1 AND assignee_id IS NULL)
    AND ('leased' <> ALL (%(states)s::text[]) OR assignee_id IS NOT NULL)
    AND ('failed' <> ALL (%(states)s::text[]) OR status = 2)
    AND ('delayed' <> ALL (%(states)s::text[]) OR status = 3)
    AND ('awaiting' <> ALL (%(states)s::text[]) OR {AWAITING})
    AND (%(priority)s::int IS NULL OR priority = %(priority)s)
    AND (%(least_priority)s::int IS NULL OR priority >= %(least_priority)s)
    AND (%(most_priority)s::int IS NULL OR priority <= %(most_priority)s)
    AND (%(workers)s::bigint[] IS NULL OR assignee_id = ANY (%(workers)s::bigint[]))
    AND (%(older)s::float IS NULL
         OR created <= coalesce(%(moment)s::timestamptz, now()) - make_interval(secs => %(older)s))
    AND (%(younger)s::float IS NULL
         OR created >= coalesce(%(moment)s::timestamptz, now()) - make_interval(secs => %(younger)s))
    AND (%(retries)s::int IS NULL OR retries >= %(retries)s)
    AND (%(failure)s::bigint IS NULL OR failure = %(failure)s AND status = 2)
    AND (%(text)s::text IS NULL OR recipe ILIKE %(text)s)
"""

# Run before a scan, for its transaction. The planner expects a page to examine as many tasks as it may and would sort a
# whole project for them, while most pages are full after a few.
WALK_ALONG = "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)"


def _in_order(condition: str, order: str) -> str:
    """The ready tasks with this condition, merged from their two indexes.

    Each half has an order and a limit of its own: with one for both, the planner sorts all tasks of the project.
    """
    halves = (
        f"""
            (
                SELECT *, rank::text AS key FROM tasks_task
                WHERE {condition} AND id <= %(newest)s AND status = 1 AND assignee_id IS NULL AND {voters}
                ORDER BY {order} LIMIT %(bound)s
            )"""
        for voters in ("voters = '{}'", "NOT voters = '{}'")
    )
    return f"SELECT * FROM ({' UNION ALL '.join(halves)}) AS half ORDER BY {order}"


_IN_PART = "project_id = part.project AND rank BETWEEN part.lowest AND part.highest"

# The index scans. Each returns whole rows in index order and stops when no more are needed: the ORDER BY in the
# subqueries keeps a nested loop over the projects in order.
_WALK = {
    # Use the primary key.
    "newest": """
        SELECT *, NULL AS key FROM tasks_task WHERE id < %(below)s AND id <= %(newest)s ORDER BY id DESC
    """,
    "oldest": """
        SELECT *, NULL AS key FROM tasks_task WHERE id > %(above)s AND id <= %(newest)s ORDER BY id
    """,
    # Uses the primary key and the index task_hash_unique.
    "lookup": """
        SELECT *, NULL AS key FROM tasks_task
        WHERE id = ANY (
            coalesce(%(ids)s::bigint[], '{}')
            || ARRAY(SELECT id FROM tasks_task WHERE project_id = ANY (%(projects)s) AND hash64 = %(hash64)s)
        ) AND project_id = ANY (%(projects)s) AND id < %(below)s AND id <= %(newest)s
        ORDER BY id DESC
    """,
    # Uses the index task_leased.
    "leased": """
        SELECT task.* FROM unnest(%(part)s::bigint[], %(since)s::timestamptz[], %(above)s::bigint[])
            AS part (project, since, above)
        CROSS JOIN LATERAL (
            SELECT *, lease_expires::text AS key FROM tasks_task
            WHERE project_id = part.project AND assignee_id IS NOT NULL
              AND (lease_expires, id) > (part.since, part.above) AND id <= %(newest)s
            ORDER BY lease_expires, id
        ) AS task
    """,
    # Uses the index task_delayed.
    "delayed": """
        SELECT task.* FROM unnest(%(part)s::bigint[], %(since)s::timestamptz[], %(above)s::bigint[])
            AS part (project, since, above)
        CROSS JOIN LATERAL (
            SELECT *, run_at::text AS key FROM tasks_task
            WHERE project_id = part.project AND status = 3
              AND (run_at, id) > (part.since, part.above) AND id <= %(newest)s
            ORDER BY run_at, id
        ) AS task
    """,
    # Uses the index task_failed.
    "failed": """
        SELECT task.* FROM unnest(%(part)s::bigint[], %(below)s::bigint[]) AS part (project, below)
        CROSS JOIN LATERAL (
            SELECT *, NULL AS key FROM tasks_task
            WHERE project_id = part.project AND status = 2 AND id < part.below AND id <= %(newest)s
            ORDER BY id DESC
        ) AS task
    """,
    # Uses the index task_failed_alike, which alone has the order: task_failed would lead through all failed tasks.
    "alike": """
        SELECT task.* FROM unnest(%(part)s::bigint[], %(below)s::bigint[]) AS part (project, below)
        CROSS JOIN LATERAL (
            SELECT *, NULL AS key FROM tasks_task
            WHERE project_id = part.project AND failure >= %(failure)s AND failure <= %(failure)s AND status = 2
              AND id < part.below AND id <= %(newest)s
            ORDER BY failure DESC, id DESC
        ) AS task
    """,
    # Uses the index task_awaiting.
    "awaiting": f"""
        SELECT task.* FROM unnest(%(part)s::bigint[], %(below)s::bigint[]) AS part (project, below)
        CROSS JOIN LATERAL (
            SELECT *, NULL AS key FROM tasks_task
            WHERE project_id = part.project AND {AWAITING}
              AND id < part.below AND id <= %(newest)s
            ORDER BY id DESC
        ) AS task
    """,
    # Use the indexes task_fresh and task_voted.
    "ready": f"""
        SELECT task.* FROM unnest(%(part)s::bigint[], %(lowest)s::bigint[], %(highest)s::bigint[])
            AS part (project, lowest, highest)
        CROSS JOIN LATERAL (
            {_in_order(_IN_PART, "rank DESC, id")}
        ) AS task
    """,
    "same_rank": _in_order("project_id = %(project)s AND rank = %(at_rank)s AND id > %(above)s", "id"),
}

# The matching ones of the first `bound` tasks, and the last of these, whether it matches or not.
_FIND = {
    name: f"""
SELECT id, project_id, key, matches, place FROM (
    SELECT id, project_id, key, ({MATCHING}) IS TRUE AS matches, row_number() OVER () AS place
    FROM ({walk} LIMIT %(bound)s) AS looked
) AS placed
WHERE matches OR place = %(bound)s
LIMIT %(limit)s
"""
    for name, walk in _WALK.items()
}

_COUNT = {
    name: f"""
SELECT project_id, count(*) FILTER (WHERE {MATCHING}), count(*)
FROM ({walk} LIMIT %(bound)s) AS looked
GROUP BY project_id
"""
    for name, walk in _WALK.items()
}
