"""Bulk operations on all tasks of a project, or on all tasks that match a search.

They may affect millions of rows, so they run in batches, each in its own transaction, and workers can go on leasing.
Only tasks that existed at the start are affected, so an operation ends however fast others submit.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from projects.models import Project
from tasks.models import READY_TASKS, Outcome, Reason
from tasks.queries import search
from tasks.queries.search import MATCHING, Criteria
from tracker import db
from tracker.api.errors import NotFound
from workers.models import Worker

BATCH = 5_000


class NoSuchVote(NotFound):
    """No open task of this project has this id and such a vote, unless a worker holds it at the moment."""


def reset_failed(*, project: Project) -> int:
    """Return failed tasks to the queue with `retries` set to 0. Returns their number."""
    return _in_batches(RESET_FAILED, project)


def reclaim_leased(*, project: Project) -> int:
    """Reclaim every lease. Returns their number."""
    return _in_batches(RECLAIM, project)


def delete_all(*, project: Project) -> int:
    """Delete every task in any state. Returns their number.

    They don't count as closed and are not copied to the next project of the chain.
    """
    return _in_batches(DELETE_ALL, project, leave_none=True)


def release_leases_of(*, worker: Worker) -> int:
    """Reclaim every lease that the worker holds. Returns their number."""
    ((began,),) = db.rows("SELECT now()")
    total = 0
    while affected := db.affected(RELEASE_WORKER, {"worker": worker.pk, "began": began, "limit": BATCH}):
        total += affected
    return total


def accept_vote(*, project: Project, task: int, verification: int) -> None:
    """Close a task by hand with a hash that a worker has given, which counts as the one that closed it.

    Raises NoSuchVote.
    """
    ((done,),) = db.rows(ACCEPT, {"project": project.pk, "task": task, "verification": verification})
    if not done:
        raise NoSuchVote


def retry_matching(criteria: Criteria) -> int:
    """Return matching failed tasks to the queue with `retries` set to 0. Returns their number."""
    return _to_matching(RETRY, criteria)


def run_now_matching(criteria: Criteria) -> int:
    """Make matching delayed tasks ready at once. Returns their number."""
    return _to_matching(RUN_NOW, criteria)


def release_matching(criteria: Criteria) -> int:
    """Reclaim the leases of matching tasks. Returns their number."""
    return _to_matching(RELEASE, criteria)


def delete_matching(criteria: Criteria) -> int:
    """Delete matching tasks, as `delete_all` does. Returns their number."""
    return _to_matching(DELETE, criteria, leave_none=True)


class Cancelled(NamedTuple):
    """How many tasks were cancelled; `more`: the time was over, and there may be others."""

    number: int
    more: bool


def cancel_matching(criteria: Criteria, *, seconds: float) -> Cancelled:
    """Delete matching tasks, and write down of each that it was cancelled. Stops after so many seconds.

    It goes on until it has found some, however long it has to look: whoever calls it again begins at the front.
    """
    until = time.monotonic() + seconds
    total = 0
    for affected in _batches(CANCEL, criteria, leave_none=True):
        total += affected
        if total and time.monotonic() >= until:
            left = search.find(criteria, limit=1)
            return Cancelled(total, more=bool(left.ids or left.following))
    return Cancelled(total, more=False)


def set_priority_of_matching(criteria: Criteria, *, priority: int) -> int:
    """Set the priority of matching tasks. Returns how many had a different one."""
    # If the search is by priority, updated tasks no longer match, but they are done.
    return _to_matching(SET_PRIORITY, criteria, leave_none=True, new_priority=priority)


def _to_matching(statement: str, criteria: Criteria, *, leave_none: bool = False, **values: Any) -> int:
    """Run the statement on all matching tasks. Returns how many rows it changed."""
    return sum(_batches(statement, criteria, leave_none=leave_none, **values))


def _batches(statement: str, criteria: Criteria, *, leave_none: bool, **values: Any) -> Iterator[int]:
    """Search, and run the statement on each batch of ids; it checks the criteria again under the row locks.

    Yields how many rows each batch changed.

    With `leave_none`, repeat the search until no matching task is left: a task that was leased or released in the
    meantime may have moved to a position that the search had already passed. A search by id or hash misses none.
    """
    ((newest, began),) = db.rows("SELECT coalesce(max(id), 0), now() FROM tasks_task")
    criteria = criteria._replace(newest=newest, moment=began)
    while True:
        for ids in search.find_all(criteria, limit=BATCH):
            yield db.affected(statement, criteria.values() | values | {"found": ids, "began": began})
        if not leave_none or criteria.is_lookup or not _is_any_left(criteria, **values):
            return


def _is_any_left(criteria: Criteria, *, new_priority: int | None = None) -> bool:
    """Whether there are matching tasks; with `new_priority`, only those with a different priority count."""
    ((is_left,),) = db.rows(IS_ANY_LEFT, criteria.values() | {"new_priority": new_priority})
    return bool(is_left)


def _in_batches(statement: str, project: Project, *, leave_none: bool = False) -> int:
    """Run the statement until it affects no row; with `leave_none`, also until no task of the project is left."""
    ((newest, began),) = db.rows("SELECT coalesce(max(id), 0), now() FROM tasks_task")
    values = {"project": project.pk, "newest": newest, "began": began, "limit": BATCH}
    every = Criteria([project.pk], newest=newest)
    total = 0
    while True:
        affected = db.affected(statement, values)
        total += affected
        if not affected and not (leave_none and _is_any_left(every)):
            return total


# One statement, and so one snapshot: a task that is just being leased or released is found in one of the four parts.
# Uses the indexes task_fresh, task_voted, task_leased, task_delayed and task_failed.
IS_ANY_LEFT = f"""
SELECT EXISTS (
    SELECT FROM {READY_TASKS}
    WHERE project_id = ANY (%(projects)s) AND id <= %(newest)s
      AND priority IS DISTINCT FROM %(new_priority)s AND {MATCHING}
) OR EXISTS (
    SELECT FROM tasks_task
    WHERE project_id = ANY (%(projects)s) AND assignee_id IS NOT NULL AND id <= %(newest)s
      AND priority IS DISTINCT FROM %(new_priority)s AND {MATCHING}
) OR EXISTS (
    SELECT FROM tasks_task
    WHERE project_id = ANY (%(projects)s) AND status = 3 AND id <= %(newest)s
      AND priority IS DISTINCT FROM %(new_priority)s AND {MATCHING}
) OR EXISTS (
    SELECT FROM tasks_task
    WHERE project_id = ANY (%(projects)s) AND status = 2 AND id <= %(newest)s
      AND priority IS DISTINCT FROM %(new_priority)s AND {MATCHING}
)
"""

ACCEPT = "SELECT queue_accept(%(project)s, %(task)s, %(verification)s)"

# Makes failed tasks ready. Those that failed since their workers disagreed lose these votes, or the next one would make
# them fail again; for whom a task is not, that stays. A time to expire that is over doesn't apply any more.
_VOTES = f"""CASE WHEN failure = queue_fingerprint({Outcome.FAILED}, {Reason.DISAGREEMENT}, NULL)
        THEN ARRAY(SELECT one.{{part}} FROM unnest(voters, votes) AS one (voter, vote) WHERE one.vote IS NULL)
        ELSE {{whole}} END"""
_RETRY = f"""UPDATE tasks_task
SET status = 1, retries = 0, expiries = 0, failure = NULL,
    expires_at = CASE WHEN expires_at > now() THEN expires_at END,
    voters = {_VOTES.format(part="voter", whole="voters")},
    votes = {_VOTES.format(part="vote", whole="votes")}"""

# Uses the index task_failed.
RESET_FAILED = f"""
{_RETRY}
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE project_id = %(project)s AND status = 2 AND id <= %(newest)s
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
"""

# Uses the index task_leased. Newer leases than `began` are left alone.
RECLAIM = f"""
SELECT unnest(held.ids)
FROM (
    SELECT ARRAY(
        SELECT id FROM tasks_task
        WHERE project_id = %(project)s AND assignee_id IS NOT NULL AND assign_time <= %(began)s
        ORDER BY lease_expires
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS ids
    OFFSET 0
) AS held, queue_end(held.ids, {Outcome.RECLAIMED})
"""

# What a CTE `deleted` of tasks returns, and what goes on after it: writes down that they were cancelled, with the lease
# that this ended, if any. One row per task.
DELETED = "id, project_id, hash64, assignee_id, lease, assign_time, submitter_id"
CANCELLED = f""", cancelled AS (
    INSERT INTO tasks_attempt (task_id, project_id, worker_id, lease, began, outcome, version, submitter_id)
    SELECT deleted.id, deleted.project_id, deleted.assignee_id, deleted.lease, deleted.assign_time,
           {Outcome.CANCELLED}, project.version, deleted.submitter_id
    FROM deleted JOIN projects_project AS project ON project.id = deleted.project_id
    WHERE {{condition}}
)
SELECT id, hash64 FROM deleted"""

# A manager may delete millions: only leases that end so are written down.
_ONLY_LEASED = CANCELLED.format(condition="deleted.assignee_id IS NOT NULL")

# Uses all five partial indexes: together they contain every row, but none of them does alone. Waits for rows that are
# just being leased or released. Locks in the order of ids, as releases do; leases skip the rows that it has locked.
DELETE_ALL = f"""
WITH deleted AS (
    DELETE FROM tasks_task
    WHERE id = ANY (ARRAY(
        SELECT id FROM tasks_task
        WHERE id = ANY (
            ARRAY(
                SELECT id FROM tasks_task
                WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND voters = '{{}}'
                  AND id <= %(newest)s
                ORDER BY rank DESC, id LIMIT %(limit)s
            ) || ARRAY(
                SELECT id FROM tasks_task
                WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND NOT voters = '{{}}'
                  AND id <= %(newest)s
                ORDER BY rank DESC, id LIMIT %(limit)s
            ) || ARRAY(
                SELECT id FROM tasks_task
                WHERE project_id = %(project)s AND assignee_id IS NOT NULL AND id <= %(newest)s
                ORDER BY lease_expires LIMIT %(limit)s
            ) || ARRAY(
                SELECT id FROM tasks_task
                WHERE project_id = %(project)s AND status = 3 AND id <= %(newest)s
                ORDER BY run_at LIMIT %(limit)s
            ) || ARRAY(
                SELECT id FROM tasks_task
                WHERE project_id = %(project)s AND status = 2 AND id <= %(newest)s
                ORDER BY id LIMIT %(limit)s
            )
        )
        ORDER BY id
        FOR UPDATE
    ))
    RETURNING {DELETED}
){_ONLY_LEASED}
"""

# Uses the index task_leased, project by project.
RELEASE_WORKER = f"""
SELECT unnest(held.ids)
FROM (
    SELECT ARRAY(
        SELECT held.id
        FROM projects_project CROSS JOIN LATERAL (
            SELECT id FROM tasks_task
            WHERE project_id = projects_project.id AND assignee_id IS NOT NULL AND assignee_id = %(worker)s
              AND assign_time <= %(began)s
            ORDER BY lease_expires
            LIMIT %(limit)s
            FOR UPDATE SKIP LOCKED
        ) AS held
    ) AS ids
    OFFSET 0
) AS held, queue_end(held.ids, {Outcome.RECLAIMED})
"""

# The following statements look up the ids that a search has found and lock the rows in the order of ids, so that two
# of them at once can't deadlock.

RETRY = f"""
{_RETRY}
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND status = 2 AND {MATCHING}
    ORDER BY id
    FOR UPDATE SKIP LOCKED
))
"""

# With ageing, a task that would have begun to wait later waits from now on; one that was given back keeps its place.
RUN_NOW = f"""
UPDATE tasks_task AS task
SET status = 1, run_at = NULL,
    head_start = greatest(task.head_start, queue_head_start(project.ageing_seconds, now())),
    rank = task.priority + coalesce(greatest(task.head_start, queue_head_start(project.ageing_seconds, now())), 0)
FROM projects_project AS project
WHERE project.id = task.project_id AND task.id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND status = 3 AND {MATCHING}
    ORDER BY id
    FOR UPDATE SKIP LOCKED
))
"""

# Newer leases than `began` are left alone.
RELEASE = f"""
SELECT unnest(held.ids)
FROM (
    SELECT ARRAY(
        SELECT id FROM tasks_task
        WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND assignee_id IS NOT NULL
          AND assign_time <= %(began)s AND {MATCHING}
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ) AS ids
    OFFSET 0
) AS held, queue_end(held.ids, {Outcome.RECLAIMED})
"""

# Waits for rows that are just being leased or released, so that none is left behind; leases skip the rows that it has
# locked.
_DELETED = f"""
WITH deleted AS (
    DELETE FROM tasks_task
    WHERE id = ANY (ARRAY(
        SELECT id FROM tasks_task
        WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND {MATCHING}
        ORDER BY id
        FOR UPDATE
    ))
    RETURNING {DELETED}
)"""
DELETE = _DELETED + _ONLY_LEASED
CANCEL = _DELETED + CANCELLED.format(condition="true")

# Waits for locked rows, as DELETE does.
SET_PRIORITY = f"""
UPDATE tasks_task SET priority = %(new_priority)s, rank = %(new_priority)s + coalesce(head_start, 0)
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND priority <> %(new_priority)s AND {MATCHING}
    ORDER BY id
    FOR UPDATE
))
"""
