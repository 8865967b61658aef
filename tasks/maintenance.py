"""What managers do to all tasks of a project at once.

Millions of rows, so in batches: each is a transaction of its own, and leasing goes on between and beside them. Only
what was there at the beginning is touched, so the work ends however fast others submit.
"""

from projects.models import Project
from tracker import db

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
    return _in_batches(DELETE_ALL, project)


def _in_batches(statement: str, project: Project) -> int:
    ((newest, began),) = db.rows("SELECT coalesce(max(id), 0), now() FROM tasks_task")
    values = {"project": project.pk, "newest": newest, "began": began, "limit": BATCH}
    total = 0
    while affected := db.affected(statement, values):
        total += affected
    return total


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

# By each of the three partial indexes: together they hold every row, and none of them alone. Waits for rows that are
# being leased or released at this moment, so that none is left behind; those who lease pass over the rows it holds.
DELETE_ALL = """
DELETE FROM tasks_task
WHERE id = ANY (
    ARRAY(
        SELECT id FROM tasks_task
        WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND id <= %(newest)s
        ORDER BY priority DESC, id LIMIT %(limit)s FOR UPDATE
    ) || ARRAY(
        SELECT id FROM tasks_task
        WHERE project_id = %(project)s AND assignee_id IS NOT NULL AND id <= %(newest)s
        ORDER BY lease_expires LIMIT %(limit)s FOR UPDATE
    ) || ARRAY(
        SELECT id FROM tasks_task
        WHERE project_id = %(project)s AND status = 2 AND id <= %(newest)s
        ORDER BY id LIMIT %(limit)s FOR UPDATE
    )
)
"""
