"""The queue's periodic jobs. Each call processes one batch and returns the number of rows."""

from django.conf import settings

from tasks.models import AWAITING, READY_TASKS
from tracker import db

BATCH = 5_000


def fold_closed() -> int:
    """Fold ClosedEntry rows: add them to ClosedTotal and delete them."""
    row = db.one(FOLD_CLOSED, {"limit": BATCH})
    return int(row[0]) if row else 0


def forget_closed() -> int:
    """Delete closed tasks that are past their project's retention."""
    return db.affected(FORGET_CLOSED, {"limit": BATCH})


def take_snapshots() -> int:
    """Take a snapshot of every project that has no recent one."""
    # Recent is half an interval: when the scheduler calls again to see whether there is more to do, there isn't.
    return db.affected(TAKE_SNAPSHOTS, {"recent_seconds": settings.SNAPSHOT_SECONDS / 2})


def drop_snapshots() -> int:
    """Delete snapshots that are past SNAPSHOT_KEEP_HOURS."""
    return db.affected(DROP_SNAPSHOTS, {"hours": settings.SNAPSHOT_KEEP_HOURS, "limit": BATCH})


# Moves the rows that releases have appended into the totals and tallies. A reader counts each closed task exactly once:
# in its snapshot, either the entry is still there or the total includes it.
FOLD_CLOSED = """
WITH folded AS (
    DELETE FROM tasks_closedentry
    WHERE id = ANY (ARRAY(SELECT id FROM tasks_closedentry ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING project_id, worker_id, count, duration, at
), tallied AS (
    INSERT INTO tasks_workertally AS tally (project_id, worker_id, hour, closed, durations, seen)
    SELECT project_id, worker_id, hour, sum(count), queue_spread(array_agg(duration), array_agg(count)), max(at)
    FROM (
        SELECT project_id, worker_id, hour, duration, sum(count)::bigint AS count, max(at) AS at
        FROM folded CROSS JOIN LATERAL (VALUES (date_trunc('hour', at)), (NULL)) AS part (hour)
        GROUP BY project_id, worker_id, hour, duration
    ) AS alike
    GROUP BY project_id, worker_id, hour ORDER BY 1, 2, 3
    ON CONFLICT (project_id, worker_id, hour) DO UPDATE
    SET closed = tally.closed + excluded.closed, durations = queue_added(tally.durations, excluded.durations),
        seen = greatest(tally.seen, excluded.seen)
), counted AS (
    INSERT INTO tasks_projecttally AS tally (project_id, minute, closed)
    SELECT project_id, date_trunc('minute', at), sum(count) FROM folded GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (project_id, minute) DO UPDATE SET closed = tally.closed + excluded.closed
), summed AS (
    INSERT INTO tasks_closedtotal AS total (project_id, worker_id, count)
    SELECT project_id, worker_id, sum(count) FROM folded GROUP BY project_id, worker_id ORDER BY 1, 2
    ON CONFLICT (project_id, worker_id) DO UPDATE SET count = total.count + excluded.count
)
SELECT count(*) FROM folded
"""

# Deletes up to `limit` closed tasks per project. Uses the index closedtask_by_time.
FORGET_CLOSED = """
DELETE FROM tasks_closedtask
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_closedtask
        WHERE project_id = projects_project.id
          AND closed < now() - make_interval(days => projects_project.retention_days)
        ORDER BY closed
        LIMIT %(limit)s
    ) AS old
))
"""

# Adds one row per project that has none from the last `recent_seconds`. Each count is an index-only scan of one partial
# index, so no row of a task is read except the oldest ready one's, and it takes no locks that block others. The oldest
# task is the one with the lowest id. It is found by the counting scan: min(id) alone would scan the primary key.
TAKE_SNAPSHOTS = f"""
INSERT INTO projects_snapshot
    (project_id, new_task_count, failed_task_count, closed_task_count, awaiting_verification_count,
     worker_access_count, leased_task_count, delayed_task_count, oldest_ready, version)
SELECT project.id,
       ready.count + leased.count + delayed.count,
       (SELECT count(*) FROM tasks_task WHERE project_id = project.id AND status = 2),
       (SELECT coalesce(sum(count), 0) FROM tasks_closedtotal WHERE project_id = project.id)
           + coalesce(unfolded.count, 0),
       (SELECT count(*) FROM tasks_task WHERE project_id = project.id AND {AWAITING}),
       (SELECT count(*) FROM workers_workeraccess WHERE project_id = project.id AND (assign OR submit)),
       leased.count,
       delayed.count,
       (SELECT created FROM tasks_task WHERE id = ready.oldest),
       project.version
FROM projects_project AS project
CROSS JOIN LATERAL (
    SELECT count(*), min(id) AS oldest FROM {READY_TASKS} WHERE project_id = project.id
) AS ready
CROSS JOIN LATERAL (
    SELECT count(*) FROM tasks_task WHERE project_id = project.id AND assignee_id IS NOT NULL
) AS leased
CROSS JOIN LATERAL (
    SELECT count(*) FROM tasks_task WHERE project_id = project.id AND status = 3
) AS delayed
LEFT JOIN (SELECT project_id, sum(count) AS count FROM tasks_closedentry GROUP BY project_id) AS unfolded
    ON unfolded.project_id = project.id
WHERE NOT EXISTS (
    SELECT FROM projects_snapshot
    WHERE project_id = project.id AND taken > now() - make_interval(secs => %(recent_seconds)s)
)
"""

DROP_SNAPSHOTS = """
DELETE FROM projects_snapshot
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project AS project CROSS JOIN LATERAL (
        SELECT id FROM projects_snapshot
        WHERE project_id = project.id AND taken < now() - make_interval(hours => %(hours)s)
        LIMIT %(limit)s
    ) AS old
))
"""
