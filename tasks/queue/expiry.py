"""Ending leases that have lasted too long."""

from tracker import db

#: Leases of each project that one call ends.
BATCH = 5_000


def expire_leases() -> int:
    """Give leases that ran out back to the queue."""
    return db.affected(EXPIRE, {"limit": BATCH})


# Gives back leases that ran out, up to `limit` of each project, by task_leased. Per project, since the index is led
# by it and a scan over all leases would grow with those that are still good.
EXPIRE = """
UPDATE tasks_task
SET assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = ANY (ARRAY(
    SELECT due.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_task
        WHERE project_id = projects_project.id AND assignee_id IS NOT NULL AND lease_expires <= now()
        ORDER BY lease_expires
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS due
))
"""
