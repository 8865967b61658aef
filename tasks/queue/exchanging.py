"""Reporting tasks and leasing the next ones in one call."""

from collections.abc import Sequence

from projects.models import RateBucket
from tasks.queue.calls import columns, refuse
from tasks.queue.heartbeating import extended, heartbeat_columns, with_cancelled
from tasks.queue.leasing import run_lease, try_lease
from tasks.queue.releasing import released
from tasks.queue.types import Exchanged, Heartbeat, Leased, Report
from tasks.queue.waiting import waited
from tracker.steps import Steps, stepwise
from workers.identity import Caller


@stepwise
def exchange(
    *,
    worker: Caller,
    project_id: int,
    count: int,
    reports: Sequence[Report],
    heartbeats: Sequence[Heartbeat] = (),
    wait: float = 0.0,
) -> Steps[Exchanged]:
    """End leases, extend others, and then lease up to `count` tasks of a project, all in one transaction.

    If there is no task, wait for one, for at most so many seconds; the leases have ended then. If the lease is refused,
    what was done before stands, and the reason says why. Raises only UnknownWorker and NoSuchProject, and then nothing
    was done.
    """
    if heartbeats:
        values = columns(reports, Report) | heartbeat_columns(heartbeats)
        leased, (missing, *beaten) = yield from run_lease(EXCHANGE_EXTENDING, worker, project_id, count, values)
    else:
        leased, (missing, *beaten) = yield from run_lease(EXCHANGE, worker, project_id, count, columns(reports, Report))
    if missing is None:
        refuse(leased.reason, project_id, RateBucket.Kind.ASSIGN, leased.delay)
    ended = yield from with_cancelled(worker, reports, released(missing))

    def attempt() -> Steps[Leased]:
        return try_lease(worker, project_id, count)

    if wait:
        leased = yield from waited(
            attempt, worker=worker, project_id=project_id, count=count, seconds=wait, first=leased
        )
    if leased.reason in ("unknown_worker", "no_project"):
        # The worker or the project was still there when the releases were processed, a moment ago.
        leased = Leased([], "no_access")
    return Exchanged(ended, leased, extended(*beaten) if beaten else [])


EXCHANGE = """
SELECT * FROM queue_exchange_bounded(
    %(worker)s, %(digest)s, %(project)s, %(count)s,
    %(task_id)s::bigint[], %(result)s::int[], %(verification)s::bigint[], %(lease)s::uuid[],
    %(after_rank)s, %(after_id)s, %(most_bytes)s, %(allowed)s, %(told)s
)
"""

EXCHANGE_EXTENDING = """
SELECT * FROM queue_exchange_extending(
    %(worker)s, %(digest)s, %(project)s, %(count)s,
    %(task_id)s::bigint[], %(result)s::int[], %(verification)s::bigint[], %(lease)s::uuid[],
    %(beat_task)s::bigint[], %(beat_lease)s::uuid[], %(beat_seconds)s::float8[],
    %(after_rank)s, %(after_id)s, %(most_bytes)s, %(allowed)s, %(told)s
)
"""
