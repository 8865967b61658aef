"""Reporting the results of leased tasks."""

from collections.abc import Sequence

from tasks.queue.calls import columns, identity
from tasks.queue.heartbeating import with_cancelled
from tasks.queue.types import Released, Report, Result
from tracker.steps import Group, Query, Steps, stepwise
from workers.identity import Caller, UnknownWorker


@stepwise
def release(
    *,
    worker: Caller,
    task_id: int,
    result: Result,
    verification: int = 0,
    lease: str | None = None,
    told: str | None = None,
) -> Steps[Released]:
    """End the worker's lease of a task; the arguments are those of Report. Raises UnknownWorker."""
    values = {"task_id": task_id, "result": result, "verification": verification, "lease": lease, "told": told}
    ((outcome, missing),) = yield Query(RELEASE, {**identity(worker), **values}, group=RELEASES)
    if outcome == "unknown_worker":
        raise UnknownWorker
    one = Released(held=outcome == "released", missing=missing or 0)
    if not one.held and lease is not None:
        (one,) = yield from with_cancelled(worker, [Report(task_id, result, lease=lease)], [one])
    return one


@stepwise
def release_many(*, worker: Caller, reports: Sequence[Report]) -> Steps[list[Released]]:
    """End leases, all in one transaction; the results are in the order of the reports. Raises UnknownWorker.

    Of several reports of one task, the first that matches its lease counts; for the others it is no longer held.
    """
    values = {**identity(worker), **columns(reports, Report)}
    ((outcome, missing),) = yield Query(RELEASE_MANY, values, again=True)
    if outcome == "unknown_worker":
        raise UnknownWorker
    return (yield from with_cancelled(worker, reports, released(missing)))


def released(missing: list[int | None] | None) -> list[Released]:
    return [Released(held=one is not None, missing=one or 0) for one in missing or []]


RELEASE = """
SELECT outcome, missing FROM queue_release(
    %(worker)s, %(digest)s, %(task_id)s, %(result)s, %(verification)s, %(lease)s, %(told)s
)
"""

# Releases of several workers at once.
RELEASES = Group(
    """
SELECT call.position, released.outcome, released.missing
FROM unnest(
    %(position)s::int[], %(worker)s::bigint[], %(digest)s::bytea[], %(task_id)s::bigint[], %(result)s::int[],
    %(verification)s::bigint[], %(lease)s::uuid[], %(told)s::jsonb[]
) AS call (position, worker, digest, task_id, result, verification, lease, told)
CROSS JOIN LATERAL queue_release(
    call.worker, call.digest, call.task_id, call.result, call.verification, call.lease, call.told
) AS released
""",
    order=lambda values: values["task_id"],
)

RELEASE_MANY = """
SELECT outcome, missing FROM queue_release_many(
    %(worker)s, %(digest)s, %(task_id)s::bigint[], %(result)s::int[], %(verification)s::bigint[], %(lease)s::uuid[],
    %(told)s
)
"""
