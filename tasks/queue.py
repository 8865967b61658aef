"""The queue's verbs: submit, lease, release.

A lease is held until it is released or has lasted too long; what happens on each way is in docs/task-lifecycle.md.
"""

import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from django.db import DatabaseError

from projects import ratelimit
from projects.lookup import NoSuchProject, ProjectFields
from projects.models import Project, RateBucket
from tasks import sql
from tasks.frontier import Frontier
from tracker import db
from tracker.api.errors import ApiError, Conflict, Forbidden, RateLimited
from workers.access import MayNotSubmit
from workers.identity import Caller, UnknownWorker
from workers.models import Worker

BULK_LIMIT = 10_000
# Tasks that one call may lease or release.
BATCH_LIMIT = 1_000


class Result(IntEnum):
    """What a worker reports of a task."""

    OK = 0
    FAIL = 1
    SKIP = 2


class NewTask(NamedTuple):
    """A task to be stored. `hash64` is None for none; the rest as in tasks.models.Task."""

    recipe: str
    priority: int = 0
    max_retries: int = 0
    max_assign_time: int = 0
    hash64: int | None = None
    verification_count: int = 0


class Stored(NamedTuple):
    """What became of one task of a batch: its id, or with `duplicate` that of the task that has its hash."""

    id: int | None
    duplicate: bool


class LeasedTask(NamedTuple):
    """A task as its worker gets it. `assign_time` in Unix seconds; `lease` is the opaque id of the lease."""

    id: int
    priority: int
    assignee: int
    retries: int
    max_retries: int
    status: int
    recipe: str
    max_assign_time: int
    verification_count: int
    assign_time: int
    lease: str
    project: ProjectFields


class Leased(NamedTuple):
    """The tasks that were leased, in the order of leasing, or why there are none.

    A `reason` is empty, verified_all, project_paused or no_access; after an exchange also worker_paused, or
    rate_limited, and then `delay` is how many seconds to wait.
    """

    tasks: list[LeasedTask]
    reason: str | None = None
    delay: float | None = None


class Report(NamedTuple):
    """What a worker reports of a task. With `lease`, only that one is ended, not a later one of the same worker."""

    task_id: int
    result: Result
    verification: int = 0
    lease: str | None = None


class Released(NamedTuple):
    """What a release did. `missing` counts the agreeing verifications that the task still needs."""

    held: bool
    missing: int = 0

    @property
    def updated(self) -> bool:
        return self.held and not self.missing


class DuplicateTask(Conflict):
    """A task with this hash is already in the project."""


class WorkerPaused(Forbidden):
    """This worker is paused; a tracker admin can resume it."""


def submit(*, worker: Caller, project_id: int, task: NewTask) -> int:
    """Store one task and return its id.

    Raises DuplicateTask, with the other task's id, UnknownWorker, NoSuchProject, MayNotSubmit and RateLimited.
    """
    outcome, delay, task_id = db.rows(sql.SUBMIT, {**_who(worker), "project": project_id, **task._asdict()})[0]
    if outcome == "duplicate":
        raise DuplicateTask(content={"task": {"id": task_id}})
    _refuse(outcome, project_id, RateBucket.Kind.SUBMIT, delay)
    return int(task_id)


def submit_many(*, worker: Caller, project_id: int, tasks: Sequence[NewTask]) -> list[Stored]:
    """Store a batch, all in one transaction; the answers are in its order. Duplicates are told, not raised.

    Raises UnknownWorker, NoSuchProject, MayNotSubmit and RateLimited, and then nothing is stored.
    """
    values = {**_who(worker), "project": project_id, **_columns(NewTask, tasks)}
    outcome, delay, ids = db.rows_again(sql.SUBMIT_MANY, values)[0]
    _refuse(outcome, project_id, RateBucket.Kind.SUBMIT, delay)
    return _stored(project_id, tasks, ids)


def store_many(*, project: Project, tasks: Sequence[NewTask]) -> list[Stored]:
    """The same for operators: nobody is asked who it is, and the project's rate doesn't count."""
    ((ids,),) = db.rows_again(sql.STORE_MANY, {"project": project.pk, **_columns(NewTask, tasks)})
    return _stored(project.pk, tasks, ids)


def lease(*, worker: Caller, project: Project) -> LeasedTask | None:
    """Lease the project's next task; None if there is none for this worker. Raises as `lease_many` does."""
    leased = lease_many(worker=worker, project_id=project.pk, count=1)
    return leased.tasks[0] if leased.tasks else None


def lease_many(*, worker: Caller, project_id: int, count: int) -> Leased:
    """Lease up to so many of the project's tasks.

    Raises UnknownWorker, NoSuchProject, also for one that is hidden from the worker, WorkerPaused and RateLimited.
    """
    leased, _ = _lease(sql.LEASE, worker, project_id, count)
    _refuse(leased.reason, project_id, RateBucket.Kind.ASSIGN, leased.delay)
    return leased


def lease_anywhere(*, worker: Worker, count: int) -> Leased:
    """Lease up to so many tasks from all projects that the worker may, those with the highest priority first.

    Among projects of one priority, chance decides. Raises WorkerPaused, and RateLimited if all that has tasks is
    limited.
    """
    if worker.paused:
        raise WorkerPaused
    tasks: list[LeasedTask] = []
    refusals: list[RateLimited] = []
    for project_id in _projects_with_work(worker):
        try:
            tasks += lease_many(worker=worker, project_id=project_id, count=count - len(tasks)).tasks
        except RateLimited as error:
            refusals.append(error)
        except NoSuchProject:
            # It was deleted or hidden at this moment.
            continue
        except (ApiError, DatabaseError):
            # What has been leased is the worker's already.
            if not tasks:
                raise
            break
        if len(tasks) == count:
            break
    if refusals and not tasks:
        raise min(refusals, key=lambda error: error.delay)
    return Leased(tasks, None if tasks else "empty")


def release(
    *, worker: Caller, task_id: int, result: Result, verification: int = 0, lease: str | None = None
) -> Released:
    """End the worker's lease of a task; the rest as in Report. Raises UnknownWorker."""
    values = {"task_id": task_id, "result": result, "verification": verification, "lease": lease}
    outcome, missing = db.rows(sql.RELEASE, {**_who(worker), **values})[0]
    if outcome == "unknown_worker":
        raise UnknownWorker
    return Released(held=outcome == "released", missing=missing or 0)


def release_many(*, worker: Caller, reports: Sequence[Report]) -> list[Released]:
    """End leases, all in one transaction; the answers are in the order of the reports. Raises UnknownWorker.

    Of several reports of one task, the first that fits its lease counts; the others find it no longer held.
    """
    outcome, missing = db.rows_again(sql.RELEASE_MANY, {**_who(worker), **_columns(Report, reports)})[0]
    if outcome == "unknown_worker":
        raise UnknownWorker
    return _released(missing)


def exchange(
    *, worker: Caller, project_id: int, count: int, reports: Sequence[Report]
) -> tuple[list[Released], Leased]:
    """End leases and then lease up to so many tasks of a project, all in one transaction.

    A lease that is refused leaves the releases as they are; why is told as the reason. Only UnknownWorker and
    NoSuchProject are raised, and then nothing was done.
    """
    leased, (missing,) = _lease(sql.EXCHANGE, worker, project_id, count, **_columns(Report, reports))
    if missing is None:
        _refuse(leased.reason, project_id, RateBucket.Kind.ASSIGN, leased.delay)
    if leased.reason in ("unknown_worker", "no_project"):
        # Since the releases, a moment ago.
        leased = Leased([], "no_access")
    return _released(missing), leased


_frontier = Frontier()

# Where in a row of LEASE the columns of the project begin, those of the task, and those that only EXCHANGE has.
_PROJECT, _TASK, _MORE = 4, 17, 28

_PROJECTS_AT_ONCE = 8


def _lease(
    statement: str, worker: Caller, project_id: int, count: int, **values: Any
) -> tuple[Leased, tuple[Any, ...]]:
    """Run a statement that leases; whatever stands against a lease is the reason. And what else its last row has."""
    after_priority, after_id = _frontier.after(project_id)
    values |= {"project": project_id, "count": count, "after_priority": after_priority, "after_id": after_id}
    began = time.monotonic()
    *rows, last = db.rows_again(statement, {**_who(worker), **values})
    seconds = time.monotonic() - began
    outcome, delay, pages, last_fresh = last[:_PROJECT]
    project = ProjectFields(*last[_PROJECT:_TASK])
    tasks = [LeasedTask._make((*row[_TASK:_MORE], project)) for row in rows]
    tasks.sort(key=lambda task: (-task.priority, task.id))
    if pages is not None and (last_fresh is not None or not tasks):
        place = next(((task.priority, task.id) for task in tasks if task.id == last_fresh), None)
        _frontier.note(project_id, place=place, pages=pages, seconds=seconds)
    return Leased(tasks, None if tasks else outcome, delay), last[_MORE:]


def _projects_with_work(worker: Worker) -> Iterator[int]:
    tried: list[int] = []
    while found := db.rows(sql.PROJECTS_WITH_WORK, {"worker": worker.pk, "tried": tried, "limit": _PROJECTS_AT_ONCE}):
        tried += [project_id for (project_id,) in found]
        yield from tried[-len(found) :]


def _refuse(outcome: str | None, project_id: int, kind: RateBucket.Kind, delay: float | None) -> None:
    """Raise the error that an outcome is, if it is one."""
    match outcome:
        case "unknown_worker":
            raise UnknownWorker
        case "no_project":
            raise NoSuchProject(f"There is no project {project_id}.")
        case "may_not_submit":
            raise MayNotSubmit(project_id)
        case "worker_paused":
            raise WorkerPaused
        case "rate_limited":
            raise ratelimit.refusal(project_id, kind, delay or 0.0)


def _released(missing: list[int | None] | None) -> list[Released]:
    return [Released(held=one is not None, missing=one or 0) for one in missing or []]


def _who(worker: Caller) -> dict[str, Any]:
    return {"worker": worker.pk, "digest": worker.secret_digest}


def _columns(kind: type[NewTask] | type[Report], rows: Sequence[NewTask] | Sequence[Report]) -> dict[str, str]:
    """An array for each field."""
    return {field: db.array([row[place] for row in rows]) for place, field in enumerate(kind._fields)}


def _stored(project_id: int, tasks: Sequence[NewTask], ids: Sequence[int | None]) -> list[Stored]:
    hashes = [task.hash64 for task, task_id in zip(tasks, ids, strict=True) if task_id is None]
    if not hashes:
        return [Stored(task_id, duplicate=False) for task_id in ids]
    taken = dict(db.rows(sql.FIND_BY_HASH, {"project": project_id, "hashes": db.array(hashes)}))
    return [
        Stored(taken.get(task.hash64), duplicate=True) if task_id is None else Stored(task_id, duplicate=False)
        for task, task_id in zip(tasks, ids, strict=True)
    ]
