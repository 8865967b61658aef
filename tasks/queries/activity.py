"""The activity of workers, for the admin's list of workers.

A request does not update the worker's row, so the time when a worker was last seen is derived from its leases, closed
tasks and log entries.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tracker import db

# How much is examined: leases per project, last closed tasks per project, last log entries overall.
LEASES, CLOSED, ENTRIES = 20_000, 100, 5_000


class Activity(NamedTuple):
    """How many tasks a worker holds and has closed, and when it was last seen.

    `seen` is None if the worker has no lease and none of the last closed tasks and log entries: it was long ago.
    """

    leases: int = 0
    closed: int = 0
    seen: datetime | None = None


def activity(workers: Sequence[int], projects: Sequence[int]) -> dict[int, Activity]:
    """The activity of these workers in these projects, by worker id."""
    values = {
        "workers": list(workers),
        "projects": list(projects),
        "leases": LEASES,
        "closed": CLOSED,
        "entries": ENTRIES,
    }
    return {worker_id: Activity(*rest) for worker_id, *rest in db.rows(ACTIVITY, values)}


def holders(projects: Sequence[int]) -> list[int]:
    """The workers that hold leases in these projects."""
    return [row[0] for row in db.rows(HOLDERS, {"projects": list(projects), "leases": LEASES})]


# Uses the index task_leased.
HOLDERS = """
SELECT DISTINCT held.assignee_id
FROM unnest(%(projects)s::bigint[]) AS part (project)
CROSS JOIN LATERAL (
    SELECT assignee_id FROM tasks_task
    WHERE project_id = part.project AND assignee_id IS NOT NULL
    LIMIT %(leases)s
) AS held
"""

# Uses the indexes task_leased, closedtask_by_time and logentry_by_receipt (these two newest first), and for the totals
# their unique index on project and worker.
ACTIVITY = """
WITH part AS (
    SELECT project FROM unnest(%(projects)s::bigint[]) AS part (project)
), held AS (
    SELECT assignee_id AS worker_id, count(*) AS leases, max(assign_time) AS seen
    FROM part CROSS JOIN LATERAL (
        SELECT assignee_id, assign_time FROM tasks_task
        WHERE project_id = part.project AND assignee_id IS NOT NULL
        LIMIT %(leases)s
    ) AS lease
    WHERE assignee_id = ANY (%(workers)s)
    GROUP BY assignee_id
), done AS (
    SELECT worker_id, max(closed) AS seen
    FROM part CROSS JOIN LATERAL (
        SELECT worker_id, closed FROM tasks_closedtask
        WHERE project_id = part.project
        ORDER BY closed DESC
        LIMIT %(closed)s
    ) AS task
    WHERE worker_id = ANY (%(workers)s)
    GROUP BY worker_id
), said AS (
    SELECT worker_id, max(received) AS seen
    FROM (
        SELECT worker_id, received FROM logs_logentry ORDER BY received DESC LIMIT %(entries)s
    ) AS entry
    WHERE worker_id = ANY (%(workers)s)
    GROUP BY worker_id
), closings AS (
    SELECT worker_id, sum(count)::bigint AS count
    FROM (
        SELECT worker_id, count FROM tasks_closedtotal
        WHERE project_id = ANY (%(projects)s) AND worker_id = ANY (%(workers)s)
        UNION ALL
        SELECT worker_id, count FROM tasks_closedentry
        WHERE project_id = ANY (%(projects)s) AND worker_id = ANY (%(workers)s)
    ) AS counts
    GROUP BY worker_id
)
SELECT worker.id, coalesce(held.leases, 0), coalesce(closings.count, 0), greatest(held.seen, done.seen, said.seen)
FROM unnest(%(workers)s::bigint[]) AS worker (id)
LEFT JOIN held ON held.worker_id = worker.id
LEFT JOIN done ON done.worker_id = worker.id
LEFT JOIN said ON said.worker_id = worker.id
LEFT JOIN closings ON closings.worker_id = worker.id
"""
