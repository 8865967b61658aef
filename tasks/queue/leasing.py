"""Leasing tasks."""

import time
from typing import Any

from django.db import DatabaseError

from projects.lookup import NoSuchProject, ProjectFields
from projects.models import Project, RateBucket
from tasks.queue.calls import identity, refuse
from tasks.queue.frontier import Frontier
from tasks.queue.types import Leased, LeasedTask, WorkerPaused
from tasks.queue.waiting import waited
from tracker import db
from tracker.api.errors import ApiError, RateLimited
from tracker.steps import Group, Query, Steps, stepwise
from workers.identity import Caller
from workers.models import Worker

_frontier = Frontier()

# Offsets in a row of LEASE: where the project's columns begin, the task's, and those that only EXCHANGE has.
_PROJECT, _TASK, _MORE = 4, 17, 28

_PROJECTS_AT_ONCE = 8


@stepwise
def lease(*, worker: Caller, project: Project) -> Steps[LeasedTask | None]:
    """Lease the project's next task; None if there is none for this worker. Raises the errors of `lease_many`."""
    leased = yield from lease_many.steps(worker=worker, project_id=project.pk, count=1)
    return leased.tasks[0] if leased.tasks else None


@stepwise
def lease_many(*, worker: Caller, project_id: int, count: int, wait: float = 0.0) -> Steps[Leased]:
    """Lease up to `count` of the project's tasks. If there is none, wait for one, for at most so many seconds.

    Raises UnknownWorker, NoSuchProject (also if the project is hidden from the worker), WorkerPaused and RateLimited.
    """

    def attempt() -> Steps[Leased]:
        return try_lease(worker, project_id, count)

    if wait:
        leased = yield from waited(attempt, worker=worker, project_id=project_id, count=count, seconds=wait)
    else:
        leased = yield from attempt()
    refuse(leased.reason, project_id, RateBucket.Kind.ASSIGN, leased.delay)
    return leased


@stepwise
def lease_anywhere(*, worker: Worker, count: int, wait: float = 0.0) -> Steps[Leased]:
    """Lease up to `count` tasks from all projects that the worker may lease from, highest project priority first.

    Projects with the same priority come in random order. If there is none, wait for one, for at most so many seconds.
    Raises WorkerPaused, and RateLimited if no task was leased and at least one project was rate limited.
    """

    def attempt() -> Steps[Leased]:
        return _lease_anywhere(worker, count)

    if worker.paused:
        raise WorkerPaused
    if wait:
        return (yield from waited(attempt, worker=worker, project_id=None, count=count, seconds=wait))
    return (yield from attempt())


def _lease_anywhere(worker: Worker, count: int) -> Steps[Leased]:
    tasks: list[LeasedTask] = []
    refusals: list[RateLimited] = []
    tried: list[int] = []
    while len(tasks) < count:
        values = {"worker": worker.pk, "tried": tried, "limit": _PROJECTS_AT_ONCE}
        found = yield Query(PROJECTS_WITH_WORK, values)
        if not found:
            break
        tried += [project_id for (project_id,) in found]
        if not (yield from _lease_from(tried[-len(found) :], worker, count, tasks, refusals)):
            break
    if refusals and not tasks:
        raise min(refusals, key=lambda error: error.delay)
    return Leased(tasks, None if tasks else "empty")


def _lease_from(
    projects: list[int], worker: Worker, count: int, tasks: list[LeasedTask], refusals: list[RateLimited]
) -> Steps[bool]:
    """Lease from one project after the other until there are `count` tasks. Returns whether to go on with others."""
    for project_id in projects:
        try:
            leased = yield from lease_many.steps(worker=worker, project_id=project_id, count=count - len(tasks))
        except RateLimited as error:
            refusals.append(error)
        except NoSuchProject:
            # It was deleted or hidden in the meantime.
            continue
        except (ApiError, DatabaseError):
            # The worker already holds the tasks leased so far, so it has to learn of them.
            if not tasks:
                raise
            return False
        else:
            tasks += leased.tasks
        if len(tasks) == count:
            return False
    return True


def try_lease(worker: Caller, project_id: int, count: int) -> Steps[Leased]:
    """Lease now; every refusal is a reason."""
    # A batch is worth a statement, and a connection, of its own.
    group = LEASES if count == 1 else None
    leased, _ = yield from run_lease(LEASE, worker, project_id, count, {}, group=group)
    return leased


def run_lease(
    statement: str,
    worker: Caller,
    project_id: int,
    count: int,
    values: db.Values,
    *,
    group: Group | None = None,
) -> Steps[tuple[Leased, tuple[Any, ...]]]:
    """Run a statement that leases. Returns the tasks or the reason, and the last row's columns from _MORE on."""
    after_priority, after_id = _frontier.after(project_id)
    place = {"project": project_id, "count": count, "after_priority": after_priority, "after_id": after_id}
    began = time.monotonic()
    *rows, last = yield Query(statement, {**identity(worker), **values, **place}, again=True, group=group)
    seconds = time.monotonic() - began
    outcome, delay, pages, last_fresh = last[:_PROJECT]
    project = ProjectFields(*last[_PROJECT:_TASK])
    tasks = [LeasedTask._make((*row[_TASK:_MORE], project)) for row in rows]
    tasks.sort(key=lambda task: (-task.priority, task.id))
    if pages is not None and (last_fresh is not None or not tasks):
        reached = next(((task.priority, task.id) for task in tasks if task.id == last_fresh), None)
        _frontier.note(project_id, place=reached, pages=pages, seconds=seconds)
    return Leased(tasks, None if tasks else outcome, delay), last[_MORE:]


LEASE = """
SELECT * FROM queue_lease(
    %(worker)s, %(digest)s, %(project)s, %(count)s, %(after_priority)s, %(after_id)s
)
"""

# Leases of several workers at once.
LEASES = Group(
    """
SELECT call.position, leased.*
FROM unnest(
    %(position)s::int[], %(worker)s::bigint[], %(digest)s::bytea[], %(project)s::bigint[], %(count)s::int[],
    %(after_priority)s::int[], %(after_id)s::bigint[]
) AS call (position, worker, digest, project, count, after_priority, after_id)
CROSS JOIN LATERAL queue_lease(
    call.worker, call.digest, call.project, call.count, call.after_priority, call.after_id
) AS leased
""",
    order=lambda values: values["project"],
)

# The next projects to try for a worker that takes tasks from any: those that it may lease from and that have a task to
# lease, highest priority first, then in random order. Looks into the tasks of only as many projects as are needed, by
# index: with EXISTS, the planner might read the whole queue first.
PROJECTS_WITH_WORK = """
SELECT id
FROM (
    SELECT project.id
    FROM projects_project AS project
    LEFT JOIN workers_workeraccess AS access
        ON access.project_id = project.id AND access.worker_id = %(worker)s
    WHERE NOT project.paused AND (project.public OR access.assign OR access.submit)
      AND project.id <> ALL (%(tried)s::bigint[])
    ORDER BY project.priority DESC, random()
) AS candidate
WHERE coalesce(
    (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND status = 1 AND assignee_id IS NULL AND voters = '{}'
        ORDER BY priority DESC, id LIMIT 1
    ), (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
        ORDER BY priority DESC, id LIMIT 1
    ), (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND assignee_id IS NOT NULL AND lease_expires <= now()
        ORDER BY lease_expires LIMIT 1
    )
) IS NOT NULL
LIMIT %(limit)s
"""
