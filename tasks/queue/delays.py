"""Tasks whose time comes: delayed ones become ready, and those that have expired FAILED.

The scheduler calls these several times a second. As long as no task's time has come, each is one look at the first
entry of a small index, which writes nothing.
"""

from tracker import db

#: Maximum number of tasks that one call changes.
BATCH = 5_000


def make_due_ready() -> int:
    """Make delayed tasks ready whose time has come. Returns their number."""
    return db.affected(MAKE_READY, {"limit": BATCH})


def fail_expired() -> int:
    """Make tasks FAILED that have expired and that nobody holds. Returns their number."""
    return db.affected(FAIL_EXPIRED, {"limit": BATCH})


# Uses the index task_due.
MAKE_READY = """
UPDATE tasks_task SET status = 1, run_at = NULL
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_task
    WHERE status = 3 AND run_at <= now()
    ORDER BY run_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
"""

# Uses the index task_expiring. queue_fail_expired sees the rows as they are when they are locked.
FAIL_EXPIRED = """
SELECT unnest(due.ids)
FROM (
    SELECT ARRAY(
        SELECT id FROM tasks_task
        WHERE expires_at IS NOT NULL AND assignee_id IS NULL AND status IN (1, 3) AND expires_at <= now()
        ORDER BY expires_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS ids
    OFFSET 0
) AS due, queue_fail_expired(due.ids)
WHERE due.ids <> '{}'
"""
