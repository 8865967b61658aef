"""The queue's verbs: submit, lease, release.

A lease is held until it is released or has lasted too long; what happens on each way is in docs/task-lifecycle.md.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

from projects import ratelimit
from projects.models import Project, RateBucket
from tasks import sql
from tracker import db
from tracker.api.errors import Conflict
from workers.models import Worker

BULK_LIMIT = 10_000

# How often a submit looks again for a task with its hash that vanished while it looked.
_ATTEMPTS = 5


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


class LeasedTask(NamedTuple):
    """A task as its worker gets it."""

    id: int
    priority: int
    assignee: int
    retries: int
    max_retries: int
    status: int
    recipe: str
    max_assign_time: int
    verification_count: int
    assign_time: datetime
    lease: UUID


class Stored(NamedTuple):
    """What became of one task of a batch: its id, or with `duplicate` that of the task that has its hash."""

    id: int | None
    duplicate: bool


class Released(NamedTuple):
    """What a release did. `missing` counts the agreeing verifications that the task still needs."""

    held: bool
    missing: int = 0

    @property
    def updated(self) -> bool:
        return self.held and not self.missing


class DuplicateTask(Conflict):
    """A task with this hash is already in the project."""


def submit(*, project: Project, task: NewTask) -> int:
    """Store one task and return its id. Raises DuplicateTask, with the other task's id, and RateLimited."""
    values = {"project": project.pk, "rate": project.submit_rate, **task._asdict()}
    for _ in range(_ATTEMPTS):
        (task_id,) = _with_token(sql.SUBMIT, values, project, RateBucket.Kind.SUBMIT)
        if task_id is not None:
            return int(task_id)
        existing = _ids_by_hash(project, [task.hash64])
        if existing:
            raise DuplicateTask(content={"task": {"id": existing[task.hash64]}})
        # The task with this hash was closed between the two looks, so the hash is free by now.
    raise DuplicateTask


def submit_many(*, project: Project, tasks: Sequence[NewTask], limited: bool = True) -> list[Stored]:
    """Store a batch, all in one statement; the answers are in its order. Duplicates are told, not raised.

    Not `limited`, the project's submit rate doesn't count: that is for operators. Raises RateLimited, and then
    nothing is stored.
    """
    columns = dict(zip(NewTask._fields, map(list, zip(*tasks, strict=True)), strict=True))
    values = {"project": project.pk, "rate": project.submit_rate if limited else 0.0, **columns}
    (ids,) = _with_token(sql.SUBMIT_MANY, values, project, RateBucket.Kind.SUBMIT)
    taken = _ids_by_hash(project, [task.hash64 for task, task_id in zip(tasks, ids, strict=True) if task_id is None])
    return [
        Stored(taken.get(task.hash64), duplicate=True) if task_id is None else Stored(task_id, duplicate=False)
        for task, task_id in zip(tasks, ids, strict=True)
    ]


def lease(*, project: Project, worker: Worker) -> LeasedTask | None:
    """Lease the project's next task for the worker; None if there is none. Raises RateLimited."""
    values = {
        "project": project.pk,
        "worker": worker.pk,
        "rate": project.assign_rate,
        "lease_seconds": project.lease_seconds,
    }
    row = _with_token(sql.LEASE, values, project, RateBucket.Kind.ASSIGN)
    return None if row[0] is None else LeasedTask(*row)


def has_verified_ready(*, project: Project, worker: Worker) -> bool:
    """Whether tasks are ready that only other workers may still verify."""
    row = db.one(sql.HAS_VERIFIED_READY, {"project": project.pk, "worker": worker.pk})
    return bool(row and row[0])


def release(
    *, worker: Worker, task_id: int, result: Result, verification: int = 0, lease: str | None = None
) -> Released:
    """End the worker's lease of a task. With `lease`, only that one counts, not a later one of the same worker."""
    statement = {Result.OK: sql.RELEASE_OK, Result.FAIL: sql.RELEASE_FAIL, Result.SKIP: sql.RELEASE_SKIP}[result]
    row = db.one(statement, {"task": task_id, "worker": worker.pk, "verification": verification, "lease": lease})
    return Released(held=False) if row is None else Released(held=True, missing=row[0])


def _with_token(statement: str, values: dict[str, Any], project: Project, kind: RateBucket.Kind) -> tuple[Any, ...]:
    """Run a statement whose row begins with whether there was a token; the rest of its row. Raises RateLimited."""
    while True:
        had_token, *row = db.one(statement, values) or ()
        if had_token or not values["rate"]:
            return tuple(row)
        ratelimit.explain_refusal(project, kind)


def _ids_by_hash(project: Project, hashes: list[int | None]) -> dict[int | None, int]:
    return dict(db.rows(sql.FIND_BY_HASH, {"project": project.pk, "hashes": hashes})) if hashes else {}
