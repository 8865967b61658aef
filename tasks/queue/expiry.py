"""Expiring leases."""

from tasks.models import Outcome
from tracker import db

#: Maximum number of leases per project that one call ends.
BATCH = 5_000


def expire_leases() -> int:
    """Return tasks whose lease has expired to the queue. Returns their number."""
    return db.affected(EXPIRE, {"limit": BATCH})


# Ends up to `limit` expired leases per project. Uses the index task_leased, project by project: the index begins with
# the project, and a scan over all leases would grow with the number of valid ones. queue_end sees the rows as they are
# when they are locked, since each statement of a function has a snapshot of its own.
EXPIRE = f"""
SELECT unnest(due.ids)
FROM (
    SELECT ARRAY(
        SELECT due.id
        FROM projects_project CROSS JOIN LATERAL (
            SELECT id FROM tasks_task
            WHERE project_id = projects_project.id AND assignee_id IS NOT NULL AND lease_expires <= now()
            ORDER BY lease_expires
            LIMIT %(limit)s
            FOR UPDATE SKIP LOCKED
        ) AS due
    ) AS ids
    OFFSET 0
) AS due, queue_end(due.ids, {Outcome.EXPIRED})
"""
