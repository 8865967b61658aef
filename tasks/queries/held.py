"""What a worker holds at the moment, and how its newest leases ended without closing their task."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tracker import db

# How many of a worker's newest attempts are looked at for those of the projects that are asked for.
LOOKED = 2_000

# How much of a message is shown.
LONGEST_MESSAGE = 2_000


class Held(NamedTuple):
    """A task that a worker holds."""

    task: int
    project: int
    since: datetime
    until: datetime


class Ended(NamedTuple):
    """An attempt; `outcome` and `reason` are those of tasks.models.Attempt."""

    task: int
    project: int
    began: datetime
    ended: datetime
    outcome: int
    reason: int | None
    message: str | None
    seconds: float | None

    @property
    def took(self) -> float:
        """Its seconds by the worker's own count, or else those of the lease."""
        return (self.ended - self.began).total_seconds() if self.seconds is None else self.seconds


def leases_of(worker: int, projects: Iterable[int], *, limit: int) -> list[Held]:
    """The tasks of these projects that the worker holds, those first whose lease ends first."""
    values = {"worker": worker, "projects": db.array(projects), "limit": limit}
    return [Held(*row) for row in db.rows(LEASES, values)]


def newest_attempts(worker: int, projects: Iterable[int], *, limit: int) -> list[Ended]:
    """The worker's newest attempts in these projects."""
    values = {"worker": worker, "projects": db.array(projects), "limit": limit}
    return [Ended(*row) for row in db.rows(ATTEMPTS, values | {"looked": LOOKED, "longest": LONGEST_MESSAGE})]


# Uses the index task_held, project by project.
LEASES = """
SELECT held.*
FROM unnest(%(projects)s::bigint[]) AS part (project)
CROSS JOIN LATERAL (
    SELECT id, project_id, assign_time, lease_expires FROM tasks_task
    WHERE project_id = part.project AND assignee_id IS NOT NULL AND assignee_id = %(worker)s
    ORDER BY lease_expires
    LIMIT %(limit)s
) AS held
ORDER BY held.lease_expires, held.id
LIMIT %(limit)s
"""

# Uses the index attempt_by_worker.
ATTEMPTS = """
SELECT task_id, project_id, began, ended, outcome, reason, left(message, %(longest)s), seconds
FROM (
    SELECT * FROM tasks_attempt WHERE worker_id = %(worker)s ORDER BY ended DESC LIMIT %(looked)s
) AS newest
WHERE project_id = ANY (%(projects)s::bigint[])
ORDER BY ended DESC
LIMIT %(limit)s
"""
