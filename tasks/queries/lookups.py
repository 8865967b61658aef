"""Short queries about tasks."""

from datetime import datetime
from typing import NamedTuple

from projects.models import Project
from tasks.models import AWAITING, READY_TASKS, Outcome, Reason
from tracker import db
from tracker.api.paging import LONGEST_PAGE, NotInTheList
from workers.models import Worker


class WorkerStats(NamedTuple):
    """A worker and how many tasks it has closed, over all time."""

    id: int
    alias: str
    closed_task_count: int
    paused: bool


class ProjectStatus(NamedTuple):
    """A project's tasks by state. Those `awaiting` further verifications are also in another state, but not failed.

    `oldest` is the age of the oldest ready one in seconds.
    """

    id: int
    name: str
    paused: bool
    ready: int
    awaiting: int
    leased: int
    delayed: int
    failed: int
    closed: int
    oldest: float | None


class Failure(NamedTuple):
    """A failed attempt: a FAIL, an expired lease or a SKIP as BAD_RECIPE. `message` may be cut off."""

    task: int
    worker: int | None
    ended: datetime
    outcome: Outcome
    reason: Reason | None
    message: str
    version: str


def worker_stats(
    *, limit: int = LONGEST_PAGE, after: int | None = None, sought: str | None = None
) -> list[WorkerStats]:
    """The workers with the most closed tasks, the most first; from behind one of them on.

    Of all workers or of those whose alias contains `sought`, whatever the case and the encoding. Raises NotInTheList.
    """
    if after is not None and not Worker.objects.filter(pk=after).exists():
        raise NotInTheList
    values = {"limit": limit, "after": after, "sought": sought}
    return [WorkerStats(*row) for row in db.rows(WORKER_STATS, values)]


def assignees(project: Project) -> list[tuple[str, int]]:
    """How many tasks of the project each alias holds, and how many are `unassigned`: the MOST_ASSIGNEES largest."""
    found = db.rows(ASSIGNEES, {"project": project.pk, "limit": MOST_ASSIGNEES})
    return [(str(alias), int(count)) for alias, count in found]


def holders(project: Project) -> list[tuple[str, int]]:
    """The workers with the most leases in the project, by alias. Counts at most MOST_LEASES leases."""
    values = {"project": project.pk, "leases": MOST_LEASES, "limit": MOST_ASSIGNEES}
    return [(str(alias), int(count)) for alias, count in db.rows(HOLDERS, values)]


def recent_failures(project: Project) -> list[Failure]:
    """The newest failed attempts, the newest first."""
    found = db.rows(RECENT, {"project": project.pk, "limit": RECENT_FAILURES, "longest": LONGEST_MESSAGE})
    return [
        Failure(task, worker, ended, Outcome(outcome), None if reason is None else Reason(reason), message, version)
        for task, worker, ended, outcome, reason, message, version in found
    ]


def project_statuses() -> list[ProjectStatus]:
    """All projects by name. Counts every task, so it is for operators, not for a page that refreshes."""
    return [ProjectStatus(*row) for row in db.rows(PROJECT_STATUSES)]


MOST_ASSIGNEES = 16
MOST_LEASES = 100_000
RECENT_FAILURES = 10
LONGEST_MESSAGE = 500

# Few attempts of a project may have failed among millions of others. The newest are among the newest of the groups that
# had the newest, or have not been folded into a group yet. Uses the indexes failuregroup_newest and attempt_alike.
RECENT = """
SELECT task_id, worker_id, ended, outcome, reason, left(coalesce(message, ''), %(longest)s), version
FROM tasks_attempt
WHERE id = ANY (ARRAY(
    SELECT alike.id
    FROM (
        SELECT fingerprint FROM tasks_failuregroup WHERE project_id = %(project)s
        ORDER BY last_seen DESC LIMIT %(limit)s
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT id FROM tasks_attempt WHERE project_id = %(project)s AND fingerprint = newest.fingerprint
        ORDER BY id DESC LIMIT %(limit)s
    ) AS alike
    UNION
    (
        SELECT attempt FROM tasks_outcomeentry WHERE project_id = %(project)s AND attempt IS NOT NULL
        ORDER BY attempt DESC LIMIT %(limit)s
    )
))
ORDER BY id DESC
LIMIT %(limit)s
"""

# Uses the index task_leased.
HOLDERS = """
SELECT coalesce(worker.alias, 'deleted worker ' || assignee_id), held.count
FROM (
    SELECT assignee_id, count(*) AS count FROM (
        SELECT assignee_id FROM tasks_task WHERE project_id = %(project)s AND assignee_id IS NOT NULL
        ORDER BY lease_expires LIMIT %(leases)s
    ) AS leases
    GROUP BY assignee_id
    ORDER BY count(*) DESC
    LIMIT %(limit)s
) AS held LEFT JOIN workers_worker AS worker ON worker.id = assignee_id
ORDER BY held.count DESC, 1
"""

ASSIGNEES = f"""
SELECT alias, sum(count)::bigint AS task_count
FROM (
    SELECT coalesce(worker.alias, 'deleted worker ' || assignee_id) AS alias, count(*) AS count
    FROM tasks_task LEFT JOIN workers_worker AS worker ON worker.id = assignee_id
    WHERE project_id = %(project)s AND assignee_id IS NOT NULL
    GROUP BY assignee_id, worker.alias
    UNION ALL
    SELECT 'unassigned', count(*) FROM {READY_TASKS} WHERE project_id = %(project)s
    HAVING count(*) > 0
) AS held
GROUP BY alias
ORDER BY task_count DESC, alias
LIMIT %(limit)s
"""

# PostgreSQL's lower() leaves these two alone, unlike Python's str.casefold().
FOLDED = "replace(replace(lower(normalize({text}, NFKC)), 'ß', 'ss'), 'ς', 'σ')"

# With `sought`, reads all aliases: no index helps to find a part of a text.
WORKER_STATS = f"""
WITH closed AS (
    SELECT worker_id, sum(count)::bigint AS count
    FROM (
        SELECT worker_id, count FROM tasks_closedtotal
        UNION ALL
        SELECT worker_id, count FROM tasks_closedentry
    ) AS closings
    GROUP BY worker_id
), last AS (
    SELECT coalesce((SELECT count FROM closed WHERE worker_id = %(after)s::bigint), 0) AS count
)
SELECT id, alias, coalesce(closed.count, 0) AS closed_task_count, paused
FROM workers_worker LEFT JOIN closed ON closed.worker_id = workers_worker.id
WHERE (%(sought)s::text IS NULL
       OR strpos({FOLDED.format(text="alias")}, {FOLDED.format(text="%(sought)s::text")}) > 0)
  AND (%(after)s::bigint IS NULL
       OR (-coalesce(closed.count, 0), id) > (SELECT -last.count, %(after)s::bigint FROM last))
ORDER BY closed_task_count DESC, id
LIMIT %(limit)s
"""

PROJECT_STATUSES = f"""
WITH counted AS (
    SELECT project_id,
           count(*) FILTER (WHERE status = 1 AND assignee_id IS NULL) AS ready,
           count(*) FILTER (WHERE {AWAITING}) AS awaiting,
           count(*) FILTER (WHERE assignee_id IS NOT NULL) AS leased,
           count(*) FILTER (WHERE status = 3) AS delayed,
           count(*) FILTER (WHERE status = 2) AS failed,
           min(created) FILTER (WHERE status = 1 AND assignee_id IS NULL) AS oldest
    FROM tasks_task
    GROUP BY project_id
), closed AS (
    SELECT project_id, sum(count)::bigint AS count
    FROM (
        SELECT project_id, count FROM tasks_closedtotal
        UNION ALL
        SELECT project_id, count FROM tasks_closedentry
    ) AS closings
    GROUP BY project_id
)
SELECT id, name, paused, coalesce(ready, 0), coalesce(awaiting, 0), coalesce(leased, 0), coalesce(delayed, 0),
       coalesce(failed, 0),
       coalesce(closed.count, 0), extract(epoch FROM now() - oldest)::float
FROM projects_project
LEFT JOIN counted ON counted.project_id = projects_project.id
LEFT JOIN closed ON closed.project_id = projects_project.id
ORDER BY name
"""
