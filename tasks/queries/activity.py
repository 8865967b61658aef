"""The activity of workers, for the lists of workers.

A request does not update the worker's row, so the time when a worker was last seen is derived from its leases, closed
tasks and log entries.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tracker import db

# How much is examined: leases of a worker (of all workers in a project, to find the holders), and last closed tasks per
# project.
LEASES, CLOSED = 20_000, 100


class Activity(NamedTuple):
    """How many tasks a worker holds and has closed, and when it was last seen.

    `expired` of its `leases` have run out: it was not heard of in time, and whoever asks next is given these tasks.
    `seen` is None if the worker has no lease, no log entry and none of the last closed tasks: it was long ago, or
    never. `ago` is how many seconds ago it was.
    """

    leases: int = 0
    expired: int = 0
    closed: int = 0
    seen: datetime | None = None
    ago: float | None = None


def activity(workers: Sequence[int], projects: Sequence[int], *, leases: int = LEASES) -> dict[int, Activity]:
    """The activity of these workers in these projects, by worker id. Log entries count whatever they are about.

    At most `leases` leases of each worker are looked at and counted.
    """
    values = {
        "workers": list(workers),
        "projects": list(projects),
        "leases": leases,
        "closed": CLOSED,
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

# Uses the indexes task_held, closedtask_by_time and logentry_of_worker (these two newest first), and for the totals
# their unique index on project and worker.
ACTIVITY = """
WITH part AS (
    SELECT project FROM unnest(%(projects)s::bigint[]) AS part (project)
), asked AS (
    SELECT worker_id FROM unnest(%(workers)s::bigint[]) AS asked (worker_id)
), held AS (
    SELECT worker_id, count(*) AS leases, count(*) FILTER (WHERE lease_expires <= now()) AS expired,
           max(assign_time) AS seen
    FROM asked CROSS JOIN LATERAL (
        SELECT assign_time, lease_expires
        FROM part CROSS JOIN LATERAL (
            SELECT assign_time, lease_expires FROM tasks_task
            WHERE project_id = part.project AND assignee_id = asked.worker_id
            OFFSET 0
        ) AS here
        LIMIT %(leases)s
    ) AS lease
    GROUP BY worker_id
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
    SELECT asked.worker_id, entry.received AS seen
    FROM asked CROSS JOIN LATERAL (
        SELECT received FROM logs_logentry WHERE worker_id = asked.worker_id ORDER BY received DESC LIMIT 1
    ) AS entry
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
SELECT asked.worker_id, coalesce(held.leases, 0), coalesce(held.expired, 0), coalesce(closings.count, 0), last.seen,
       extract(epoch FROM now() - last.seen)::float
FROM asked
LEFT JOIN held ON held.worker_id = asked.worker_id
LEFT JOIN done ON done.worker_id = asked.worker_id
LEFT JOIN said ON said.worker_id = asked.worker_id
LEFT JOIN closings ON closings.worker_id = asked.worker_id
CROSS JOIN LATERAL (SELECT greatest(held.seen, done.seen, said.seen) AS seen) AS last
"""
