"""Waiting for a task: a lease that finds none is tried again when there may be one."""

import time
from collections.abc import Callable

from tasks.queue.types import Leased
from tracker.api.errors import RateLimited
from tracker.steps import Query, Steps, Supply, Wait
from workers.identity import Caller

# Reasons that may go away while the worker waits. Permissions are looked at with the next call.
_PASSING = ("empty", "delayed", "leased", "verified_all", "project_paused", "rate_limited")

# When all tasks that were there are ones that the worker has verified, it tries again after so many seconds, and then
# after twice as many: with each try, it looks through them.
FIRST_PAUSE = 0.5


def waited(
    lease: Callable[[], Steps[Leased]],
    *,
    worker: Caller,
    project_id: int | None,
    count: int,
    seconds: float,
    first: Leased | None = None,
) -> Steps[Leased]:
    """Lease as soon as there is a task, for at most `seconds`; None as the project stands for any.

    `first` is the outcome of a first try, if there was one. Raises what `lease` raises; RateLimited if that was so at
    the last try.
    """
    until = time.monotonic() + seconds
    pause = FIRST_PAUSE
    keys: frozenset[int] | None = None if project_id is None else frozenset([project_id])
    while True:
        refusal: RateLimited | None = None
        try:
            leased = first or (yield from lease())
        except RateLimited as error:
            refusal, leased = error, Leased([], "rate_limited", error.delay)
        first = None
        left = until - time.monotonic()
        if left <= 0:
            leased = leased._replace(waited=True)
        elif not leased.tasks and leased.reason in _PASSING:
            if keys is None:
                keys = frozenset([pk for (pk,) in (yield Query(LEASABLE_PROJECTS, {"worker": worker.pk}))])
            particular = 0.0
            if leased.reason == "verified_all":
                particular, pause = pause, 2 * pause
            if keys and (yield Wait(READY, keys, count, left, particular, leased.delay or 0.0)):
                continue
            leased = leased._replace(waited=time.monotonic() >= until)
        if refusal is not None:
            raise refusal
        return leased


LEASABLE_PROJECTS = """
SELECT project.id
FROM projects_project AS project
LEFT JOIN workers_workeraccess AS access ON access.project_id = project.id AND access.worker_id = %(worker)s
WHERE project.public OR access.assign OR access.submit
"""

# How many tasks of each project can be leased: those that nobody has verified, by anybody; others, by some.
READY = Supply("""
SELECT wanted.project_id, ready.fresh, ready.verified
FROM unnest(%(keys)s::bigint[], %(amounts)s::int[]) AS wanted (project_id, amount)
JOIN projects_project AS project ON project.id = wanted.project_id AND NOT project.paused
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE task.voters = '{}') AS fresh, count(*) FILTER (WHERE task.voters <> '{}') AS verified
    FROM (
        (
            SELECT voters FROM tasks_task
            WHERE project_id = wanted.project_id AND status = 1 AND assignee_id IS NULL AND voters = '{}'
            ORDER BY rank DESC, id LIMIT wanted.amount
        )
        UNION ALL
        (
            SELECT voters FROM tasks_task
            WHERE project_id = wanted.project_id AND status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
            ORDER BY rank DESC, id LIMIT wanted.amount
        )
        UNION ALL
        (
            SELECT voters FROM tasks_task
            WHERE project_id = wanted.project_id AND assignee_id IS NOT NULL AND lease_expires <= now()
            ORDER BY lease_expires LIMIT wanted.amount
        )
    ) AS task
) AS ready
WHERE ready.fresh > 0 OR ready.verified > 0
""")
