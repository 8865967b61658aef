"""Storing tasks."""

from collections.abc import Sequence

from projects.models import Project, RateBucket
from tasks.queue.calls import columns, identity, refuse
from tasks.queue.types import DuplicateTask, NewTask, Stored
from tracker import db
from tracker.steps import Group, Query, Steps, stepwise
from workers.identity import Caller


@stepwise
def submit(*, worker: Caller, project_id: int, task: NewTask) -> Steps[int]:
    """Store one task and return its id.

    Raises DuplicateTask (with the id of the existing task), UnknownWorker, NoSuchProject, MayNotSubmit and RateLimited.
    """
    values = {**identity(worker), "project": project_id, **task._asdict()}
    ((outcome, delay, task_id),) = yield Query(SUBMIT, values, group=SUBMITS)
    if outcome == "duplicate":
        raise DuplicateTask(content={"task": {"id": task_id}})
    refuse(outcome, project_id, RateBucket.Kind.SUBMIT, delay)
    return int(task_id)


@stepwise
def submit_many(*, worker: Caller, project_id: int, tasks: Sequence[NewTask]) -> Steps[list[Stored]]:
    """Store a batch, all in one transaction; the results are in its order and mark duplicates.

    Raises UnknownWorker, NoSuchProject, MayNotSubmit and RateLimited, and then nothing is stored.
    """
    values = {**identity(worker), "project": project_id, **columns(tasks, NewTask)}
    ((outcome, delay, ids),) = yield Query(SUBMIT_MANY, values, again=True)
    refuse(outcome, project_id, RateBucket.Kind.SUBMIT, delay)
    return (yield from _stored(project_id, tasks, ids))


@stepwise
def store_many(*, project: Project, tasks: Sequence[NewTask]) -> Steps[list[Stored]]:
    """Like `submit_many`, for operators: there is no worker to identify, and the rate limit does not apply."""
    ((ids,),) = yield Query(STORE_MANY, {"project": project.pk, **columns(tasks, NewTask)}, again=True)
    return (yield from _stored(project.pk, tasks, ids))


def _stored(project_id: int, tasks: Sequence[NewTask], ids: Sequence[int | None]) -> Steps[list[Stored]]:
    hashes = [task.hash64 for task, task_id in zip(tasks, ids, strict=True) if task_id is None]
    if not hashes:
        return [Stored(task_id, duplicate=False) for task_id in ids]
    found = yield Query(FIND_BY_HASH, {"project": project_id, "hashes": db.array(hashes)})
    taken: dict[int | None, int] = dict(found)
    return [
        Stored(taken.get(task.hash64), duplicate=True) if task_id is None else Stored(task_id, duplicate=False)
        for task, task_id in zip(tasks, ids, strict=True)
    ]


SUBMIT = """
SELECT outcome, delay, id FROM queue_submit(
    %(worker)s, %(digest)s, %(project)s, %(recipe)s, %(priority)s, %(max_retries)s, %(max_assign_time)s, %(hash64)s,
    %(verification_count)s, %(timing)s
)
"""

# Submits of several workers at once. Locks, in this order, the buckets of projects and the hashes of tasks.
SUBMITS = Group(
    """
SELECT call.position, stored.outcome, stored.delay, stored.id
FROM unnest(
    %(position)s::int[], %(worker)s::bigint[], %(digest)s::bytea[], %(project)s::bigint[], %(recipe)s::text[],
    %(priority)s::int[], %(max_retries)s::int[], %(max_assign_time)s::int[], %(hash64)s::bigint[],
    %(verification_count)s::int[], %(timing)s::jsonb[]
) AS call (
    position, worker, digest, project, recipe, priority, max_retries, max_assign_time, hash64, verification_count,
    timing
)
CROSS JOIN LATERAL queue_submit(
    call.worker, call.digest, call.project, call.recipe, call.priority, call.max_retries, call.max_assign_time,
    call.hash64, call.verification_count, call.timing
) AS stored
""",
    order=lambda values: (values["project"], values["hash64"] or 0),
)

SUBMIT_MANY = """
SELECT outcome, delay, ids FROM queue_submit_many(
    %(worker)s, %(digest)s, %(project)s, %(recipe)s::text[], %(priority)s::int[], %(max_retries)s::int[],
    %(max_assign_time)s::int[], %(hash64)s::bigint[], %(verification_count)s::int[], %(timing)s
)
"""

# For operators.
STORE_MANY = """
SELECT queue_store_many(
    %(project)s, %(recipe)s::text[], %(priority)s::int[], %(max_retries)s::int[], %(max_assign_time)s::int[],
    %(hash64)s::bigint[], %(verification_count)s::int[], NULL, %(timing)s
)
"""

# Uses the index task_hash_unique.
FIND_BY_HASH = """
SELECT hash64, id FROM tasks_task WHERE project_id = %(project)s AND hash64 = ANY (%(hashes)s::bigint[])
"""
