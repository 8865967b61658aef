"""What managers do to many tasks at once: to all of a project, or to all that match what they searched for.

Millions of rows, so in batches: each is a transaction of its own, and leasing goes on between and beside them. Only
what was there at the beginning is touched, so the work ends however fast others submit.
"""

from typing import Any

from projects.models import Project
from tasks.models import READY_TASKS
from tasks.queries import search
from tasks.queries.search import MATCHING, Criteria
from tracker import db
from workers.models import Worker

BATCH = 5_000


def reset_failed(*, project: Project) -> int:
    """Give failed tasks back to the queue, with no retries counted. Returns how many."""
    return _in_batches(RESET_FAILED, project)


def reclaim_leased(*, project: Project) -> int:
    """Take every lease back. Returns how many."""
    return _in_batches(RECLAIM, project)


def delete_all(*, project: Project) -> int:
    """Delete every task, whatever its state; nothing is counted as closed, nothing goes on in the chain.

    Returns how many.
    """
    return _in_batches(DELETE_ALL, project, leave_none=True)


def release_leases_of(*, worker: Worker) -> int:
    """Take back every lease that the worker holds. Returns how many."""
    ((began,),) = db.rows("SELECT now()")
    total = 0
    while affected := db.affected(RELEASE_WORKER, {"worker": worker.pk, "began": began, "limit": BATCH}):
        total += affected
    return total


def retry_matching(criteria: Criteria) -> int:
    """Give those that match and have failed back to the queue, with no retries counted. Returns how many."""
    return _to_matching(RETRY, criteria)


def release_matching(criteria: Criteria) -> int:
    """Take back the leases of those that match. Returns how many."""
    return _to_matching(RELEASE, criteria)


def delete_matching(criteria: Criteria) -> int:
    """Delete those that match; nothing is counted as closed, nothing goes on in the chain. Returns how many."""
    return _to_matching(DELETE, criteria, leave_none=True)


def set_priority_of_matching(criteria: Criteria, *, priority: int) -> int:
    """Give those that match this priority. Returns how many had another one."""
    # A search by priority would not find them again, and would not have to.
    return _to_matching(SET_PRIORITY, criteria, leave_none=True, new_priority=priority)


def _to_matching(statement: str, criteria: Criteria, *, leave_none: bool = False, **values: Any) -> int:
    """Search, and run the statement on some at a time; each checks again, under the row's lock, what was searched for.

    `leave_none`: until none is left. A task that was leased or given back in between may have come to lie where the
    search had been before. Those that are named by their ids are found wherever they are.
    """
    ((newest, began),) = db.rows("SELECT coalesce(max(id), 0), now() FROM tasks_task")
    criteria = criteria._replace(newest=newest, moment=began)
    total = 0
    while True:
        for ids in search.find_all(criteria, limit=BATCH):
            total += db.affected(statement, criteria.values() | values | {"found": ids, "began": began})
        if not leave_none or criteria.is_lookup or not _is_any_left(criteria, **values):
            return total


def _is_any_left(criteria: Criteria, *, new_priority: int | None = None) -> bool:
    """Whether there are tasks that match, and have another than the new priority."""
    ((is_left,),) = db.rows(IS_ANY_LEFT, criteria.values() | {"new_priority": new_priority})
    return bool(is_left)


def _in_batches(statement: str, project: Project, *, leave_none: bool = False) -> int:
    """Run the statement until it finds nothing more; with `leave_none`, also until no task of the project is left."""
    ((newest, began),) = db.rows("SELECT coalesce(max(id), 0), now() FROM tasks_task")
    values = {"project": project.pk, "newest": newest, "began": began, "limit": BATCH}
    every = Criteria([project.pk], newest=newest)
    total = 0
    while True:
        affected = db.affected(statement, values)
        total += affected
        if not affected and not (leave_none and _is_any_left(every)):
            return total


# In one statement, so that a task which is being leased or given back stands in one of them at that moment. By
# task_fresh, task_voted, task_leased and task_failed.
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
    WHERE project_id = ANY (%(projects)s) AND status = 2 AND id <= %(newest)s
      AND priority IS DISTINCT FROM %(new_priority)s AND {MATCHING}
)
"""

# By task_failed.
RESET_FAILED = """
UPDATE tasks_task SET status = 1, retries = 0
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE project_id = %(project)s AND status = 2 AND id <= %(newest)s
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
"""

# By task_leased. Leases given since it began are left alone.
RECLAIM = """
UPDATE tasks_task
SET assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE project_id = %(project)s AND assignee_id IS NOT NULL AND assign_time <= %(began)s
    ORDER BY lease_expires
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
"""

# By each of the four partial indexes: together they hold every row, and none of them alone. Waits for rows that are
# being leased or released at this moment, in the order of ids as releases do; those who lease pass over the rows it
# holds.
DELETE_ALL = """
DELETE FROM tasks_task
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (
        ARRAY(
            SELECT id FROM tasks_task
            WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND voters = '{}'
              AND id <= %(newest)s
            ORDER BY priority DESC, id LIMIT %(limit)s
        ) || ARRAY(
            SELECT id FROM tasks_task
            WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
              AND id <= %(newest)s
            ORDER BY priority DESC, id LIMIT %(limit)s
        ) || ARRAY(
            SELECT id FROM tasks_task
            WHERE project_id = %(project)s AND assignee_id IS NOT NULL AND id <= %(newest)s
            ORDER BY lease_expires LIMIT %(limit)s
        ) || ARRAY(
            SELECT id FROM tasks_task
            WHERE project_id = %(project)s AND status = 2 AND id <= %(newest)s
            ORDER BY id LIMIT %(limit)s
        )
    )
    ORDER BY id
    FOR UPDATE
))
"""

# By task_leased of each project.
RELEASE_WORKER = """
UPDATE tasks_task
SET assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = ANY (ARRAY(
    SELECT held.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_task
        WHERE project_id = projects_project.id AND assignee_id IS NOT NULL AND assignee_id = %(worker)s
          AND assign_time <= %(began)s
        ORDER BY lease_expires
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS held
))
"""

# The following go by the primary key to what a search has found, in the order of ids, so that two of them at once
# can't wait for each other.

RETRY = f"""
UPDATE tasks_task SET status = 1, retries = 0
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND status = 2 AND {MATCHING}
    ORDER BY id
    FOR UPDATE SKIP LOCKED
))
"""

# Leases given since it began are left alone.
RELEASE = f"""
UPDATE tasks_task
SET assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND assignee_id IS NOT NULL
      AND assign_time <= %(began)s AND {MATCHING}
    ORDER BY id
    FOR UPDATE SKIP LOCKED
))
"""

# Waits for rows that are being leased or released at this moment, so that none is left behind; those who lease pass
# over the rows it holds.
DELETE = f"""
DELETE FROM tasks_task
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND {MATCHING}
    ORDER BY id
    FOR UPDATE
))
"""

# Waits, as DELETE does.
SET_PRIORITY = f"""
UPDATE tasks_task SET priority = %(new_priority)s
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE id = ANY (%(found)s) AND project_id = ANY (%(projects)s) AND priority <> %(new_priority)s AND {MATCHING}
    ORDER BY id
    FOR UPDATE
))
"""
