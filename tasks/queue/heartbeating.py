"""Extending leases, and finding out which of them ended because their task was cancelled."""

from collections.abc import Sequence
from typing import Any

from tasks.queue.calls import identity
from tasks.queue.types import Extended, Heartbeat, Released, Report
from tracker import db
from tracker.steps import Query, Steps, stepwise
from workers.identity import Caller, UnknownWorker


@stepwise
def heartbeat(*, worker: Caller, heartbeats: Sequence[Heartbeat]) -> Steps[list[Extended]]:
    """Extend leases of the worker; the results are in the order sent. Raises UnknownWorker.

    Of several heartbeats for one lease, the last one counts.
    """
    values = {**identity(worker), **heartbeat_columns(heartbeats)}
    ((outcome, expires, cancelled),) = yield Query(HEARTBEAT, values, again=True)
    if outcome == "unknown_worker":
        raise UnknownWorker
    return extended(expires, cancelled)


def heartbeat_columns(heartbeats: Sequence[Heartbeat]) -> dict[str, str]:
    """The heartbeats as one array per field."""
    seconds = [None if one.seconds is None else repr(one.seconds) for one in heartbeats]
    return {
        "beat_task": db.array([one.task_id for one in heartbeats]),
        "beat_lease": db.array([one.lease for one in heartbeats]),
        "beat_seconds": db.array(seconds),
    }


def extended(expires: list[float | None], cancelled: list[bool]) -> list[Extended]:
    # What is not lost is not looked up: null.
    return [Extended(end, bool(lost)) for end, lost in zip(expires, cancelled, strict=True)]


def with_cancelled(worker: Caller, reports: Sequence[Report], released: list[Released]) -> Steps[list[Released]]:
    """The same results, telling where the task was cancelled under the lease that a report names.

    Costs nothing unless a worker doesn't hold such a lease any more.
    """
    lost = [
        place
        for place, (report, one) in enumerate(zip(reports, released, strict=True))
        if not one.held and report.lease is not None
    ]
    if not lost:
        return released
    values: dict[str, Any] = {
        "worker": worker.pk,
        "task_id": db.array([reports[place].task_id for place in lost]),
        "lease": db.array([reports[place].lease for place in lost]),
    }
    ((told,),) = yield Query(CANCELLED, values)
    results = released.copy()
    for place, cancelled in zip(lost, told, strict=True):
        results[place] = results[place]._replace(cancelled=cancelled)
    return results


HEARTBEAT = """
SELECT outcome, expires, cancelled FROM queue_heartbeat(
    %(worker)s, %(digest)s, %(beat_task)s::bigint[], %(beat_lease)s::uuid[], %(beat_seconds)s::float8[]
)
"""

CANCELLED = "SELECT queue_cancelled(%(worker)s, %(task_id)s::bigint[], %(lease)s::uuid[])"
