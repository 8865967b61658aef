"""Leasing tasks."""

import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from projects.lookup import NoSuchProject, ProjectFields
from projects.models import Project, RateBucket
from tasks.queue.calls import identity, refuse
from tasks.queue.frontier import Frontier
from tasks.queue.functions.lease import OVERHEAD
from tasks.queue.holding import Allowances
from tasks.queue.types import Leased, LeasedTask, WorkerPaused
from tasks.queue.waiting import waited
from tracker import db
from tracker.api.errors import ApiError, RateLimited
from tracker.steps import Group, Query, Steps, stepwise
from workers.identity import Caller
from workers.models import Worker

_frontier = Frontier()
_allowances = Allowances()

# Offsets in a row of LEASE: the rank of a task, where the project's columns begin, the task's with its id first, and
# those that only EXCHANGE has.
_RANK, _PROJECT, _TASK, _MORE = 3, 6, 19, 30

_PROJECTS_AT_ONCE = 8


@stepwise
def lease(*, worker: Caller, project: Project) -> Steps[LeasedTask | None]:
    """Lease the project's next task; None if there is none for this worker. Raises the errors of `lease_many`."""
    leased = yield from lease_many.steps(worker=worker, project_id=project.pk, count=1)
    return leased.tasks[0] if leased.tasks else None


@stepwise
def lease_many(
    *, worker: Caller, project_id: int, count: int, wait: float = 0.0, most_bytes: int | None = None
) -> Steps[Leased]:
    """Lease up to `count` of the project's tasks. If there is none, wait for one, for at most so many seconds.

    A batch ends early where its tasks have `most_bytes`, by default MAX_BATCH_BYTES. Raises UnknownWorker,
    NoSuchProject (also if the project is hidden from the worker), WorkerPaused and RateLimited.
    """

    def attempt() -> Steps[Leased]:
        return try_lease(worker, project_id, count, most_bytes=most_bytes)

    if wait:
        leased = yield from waited(attempt, worker=worker, project_id=project_id, count=count, seconds=wait)
    else:
        leased = yield from attempt()
    refuse(leased.reason, project_id, RateBucket.Kind.ASSIGN, leased.delay)
    return leased


@stepwise
def lease_anywhere(*, worker: Worker, count: int, wait: float = 0.0, may_be_repeated: bool = False) -> Steps[Leased]:
    """Lease up to `count` tasks from all projects that the worker may lease from, highest project priority first.

    Projects with the same priority come in random order. If there is none, wait for one, for at most so many seconds.
    Raises WorkerPaused, and RateLimited if no task was leased and at least one project was rate limited. A call that
    may be repeated may have got its tasks before the worker was paused.
    """

    def attempt() -> Steps[Leased]:
        return _lease_anywhere(worker, count)

    if worker.paused:
        if may_be_repeated and (leased := (yield from attempt())).tasks:
            return leased
        raise WorkerPaused
    if wait:
        return (yield from waited(attempt, worker=worker, project_id=None, count=count, seconds=wait))
    return (yield from attempt())


@dataclass
class _Gathered:
    """What a lease from any project has got so far: the tasks with their bytes, and why it got none of others."""

    tasks: list[LeasedTask] = field(default_factory=list)
    bytes: int = 0
    refusals: list[RateLimited] = field(default_factory=list)
    reasons: set[str | None] = field(default_factory=set)


def _lease_anywhere(worker: Worker, count: int) -> Steps[Leased]:
    gathered = _Gathered()
    tried: list[int] = []
    while len(gathered.tasks) < count:
        values = {"worker": worker.pk, "tried": tried, "limit": _PROJECTS_AT_ONCE}
        found = yield Query(PROJECTS_WITH_WORK, values)
        if not found:
            break
        tried += [project_id for (project_id,) in found]
        if not (yield from _lease_from(tried[-len(found) :], worker, count, gathered)):
            break
    if gathered.tasks:
        return Leased(gathered.tasks)
    if gathered.refusals:
        raise min(gathered.refusals, key=lambda error: error.delay)
    if "too_many_leases" in gathered.reasons:
        return Leased([], "too_many_leases")
    ((is_leased, is_delayed),) = yield Query(NOT_YET, {"worker": worker.pk})
    return Leased([], "leased" if is_leased else "delayed" if is_delayed else "empty")


def _lease_from(projects: list[int], worker: Worker, count: int, gathered: _Gathered) -> Steps[bool]:
    """Lease from one project after the other until there are `count` tasks. Returns whether to go on with others."""
    for project_id in projects:
        left, left_bytes = count - len(gathered.tasks), settings.MAX_BATCH_BYTES - gathered.bytes
        try:
            leased = yield from lease_many.steps(
                worker=worker, project_id=project_id, count=left, most_bytes=left_bytes
            )
        except RateLimited as error:
            gathered.refusals.append(error)
        except NoSuchProject:
            # It was deleted or hidden in the meantime.
            continue
        except (ApiError, DatabaseError):
            # The worker already holds the tasks leased so far, so it has to learn of them.
            if not gathered.tasks:
                raise
            return False
        else:
            gathered.tasks += leased.tasks
            gathered.reasons.add(leased.reason)
            if leased.filled or len(gathered.tasks) == count:
                return False
            gathered.bytes += sum(map(_bytes_of, leased.tasks))
            if gathered.bytes >= settings.MAX_BATCH_BYTES:
                return False
    return True


def _bytes_of(task: LeasedTask) -> int:
    """The task's part in a batch, as queue_lease_bounded reckons it."""
    project = task.project
    texts = task.recipe, project.name, project.clone_url, project.git_repo, project.version, project.motd
    return OVERHEAD + sum(len(text.encode()) for text in texts)


def try_lease(worker: Caller, project_id: int, count: int, *, most_bytes: int | None = None) -> Steps[Leased]:
    """Lease now; every refusal is a reason. `most_bytes` instead of MAX_BATCH_BYTES."""
    # A batch is worth a statement, and a connection, of its own.
    group = LEASES if count == 1 else None
    values = {} if most_bytes is None else {"most_bytes": most_bytes}
    leased, _ = yield from run_lease(LEASE, worker, project_id, count, values, group=group)
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
    after_rank, after_id = _frontier.after(project_id)
    place = {"project": project_id, "count": count, "after_rank": after_rank, "after_id": after_id}
    limits = {"most_bytes": settings.MAX_BATCH_BYTES, "allowed": _allowances.of(worker.pk, project_id, count)}
    began = time.monotonic()
    *rows, last = yield Query(statement, {**identity(worker), **limits, **values, **place}, again=True, group=group)
    seconds = time.monotonic() - began
    outcome, delay, pages, last_fresh, allowed, counted = last[:_PROJECT]
    project = ProjectFields(*last[_PROJECT:_TASK])
    rows.sort(key=lambda row: (-row[_RANK], row[_TASK]))
    tasks = [LeasedTask._make((*row[_TASK:_MORE], project)) for row in rows]
    if pages is not None and (last_fresh is not None or not tasks):
        reached = next(((row[_RANK], row[_TASK]) for row in rows if row[_TASK] == last_fresh), None)
        _frontier.note(project_id, place=reached, pages=pages, seconds=seconds)
    _allowances.note(worker.pk, project_id, allowed=allowed, pages=counted or 0, seconds=seconds, taken=len(tasks))
    return Leased(tasks, None if tasks else outcome, delay, filled=outcome == "filled"), last[_MORE:]


LEASE = """
SELECT * FROM queue_lease_bounded(
    %(worker)s, %(digest)s, %(project)s, %(count)s, %(after_rank)s, %(after_id)s, false, %(most_bytes)s, %(allowed)s
)
"""

# Leases of several workers at once.
LEASES = Group(
    """
SELECT call.position, leased.*
FROM unnest(
    %(position)s::int[], %(worker)s::bigint[], %(digest)s::bytea[], %(project)s::bigint[], %(count)s::int[],
    %(after_rank)s::bigint[], %(after_id)s::bigint[], %(most_bytes)s::bigint[], %(allowed)s::bigint[]
) AS call (position, worker, digest, project, count, after_rank, after_id, most_bytes, allowed)
CROSS JOIN LATERAL queue_lease_bounded(
    call.worker, call.digest, call.project, call.count, call.after_rank, call.after_id, false,
    call.most_bytes, call.allowed
) AS leased
""",
    # A lease may lock the project's bucket and, after that, its worker in the project.
    order=lambda values: (values["project"], values["worker"]),
)

# Whether another worker holds a lease in a project that this one may lease from, and whether tasks wait for their time
# there. Uses the indexes task_held and task_delayed.
NOT_YET = """
SELECT coalesce(bool_or(coalesce(
    (
        SELECT true FROM tasks_task
        WHERE project_id = project.id AND assignee_id IS NOT NULL AND assignee_id > %(worker)s
        ORDER BY assignee_id LIMIT 1
    ), (
        SELECT true FROM tasks_task
        WHERE project_id = project.id AND assignee_id IS NOT NULL AND assignee_id < %(worker)s
        ORDER BY assignee_id LIMIT 1
    ), false)), false),
    coalesce(bool_or((
        SELECT true FROM tasks_task WHERE project_id = project.id AND status = 3 ORDER BY run_at LIMIT 1
    )), false)
FROM projects_project AS project
LEFT JOIN workers_workeraccess AS access ON access.project_id = project.id AND access.worker_id = %(worker)s
WHERE NOT project.paused AND (project.public OR access.assign OR access.submit)
"""

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
        ORDER BY rank DESC, id LIMIT 1
    ), (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
        ORDER BY rank DESC, id LIMIT 1
    ), (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND assignee_id IS NOT NULL AND lease_expires <= now()
        ORDER BY lease_expires LIMIT 1
    )
) IS NOT NULL
LIMIT %(limit)s
"""
