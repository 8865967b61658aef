"""What became of tasks: their state, attempts, votes and outputs."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from django.conf import settings

from tasks.models import Outcome, Reason
from tasks.models.attempts import NO_LEASE
from tracker import db

# How many attempts of a task are told, the newest, and how many bytes the messages and outputs of all may have.
ATTEMPTS, ATTEMPTS_BYTES = 20, 4 * 1024 * 1024


class State(StrEnum):
    """The state of a task. `awaiting` tasks are ready, and have votes that do not suffice."""

    READY = "ready"
    LEASED = "leased"
    AWAITING = "awaiting"
    DELAYED = "delayed"
    FAILED = "failed"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Reader(NamedTuple):
    """Whose tasks may be told: those of a submitter, and those of projects."""

    submitter: int | None = None
    projects: Sequence[int] = ()
    # Of tasks that are still open, only managers are told how workers voted: a worker could copy a vote.
    sees_votes: bool = False


class Attempt(NamedTuple):
    """A lease that ended; times in Unix seconds. `output` is JSON text.

    `lease` is None if it closed the task, which has been put back since. A task that ended while nobody held it has an
    attempt without worker, lease and begin.
    """

    worker: int | None
    lease: str | None
    began: float | None
    ended: float
    outcome: Outcome
    reason: Reason | None
    message: str | None
    output: str | None
    seconds: float | None
    version: str

    @property
    def took(self) -> float | None:
        """Its seconds by the worker's own count, or else those of the lease; None if nobody held the task."""
        return self.ended - self.began if self.seconds is None and self.began is not None else self.seconds


class Status(NamedTuple):
    """What is known of a task. Times are in Unix seconds; what does not apply to its state is None.

    `worker` holds its lease, or closed it. `voters` and `votes` are those that don't suffice, or of a closed task all
    but the last. `is_cut`: it has an output, but those of the tasks before it have filled the answer.
    """

    id: int
    project: int
    state: State
    hash64: int | None
    priority: int
    retries: int
    expiries: int | None
    verification_count: int | None
    created: float
    run_at: float | None
    expires_at: float | None
    worker: int | None
    assign_time: float | None
    lease_expires: float | None
    closed: float | None
    verification: int | None
    voters: list[int]
    votes: list[int | None]
    submitter: int | None
    message: str | None
    output: str | None
    seconds: float | None
    version: str | None
    is_cut: bool

    @property
    def is_open(self) -> bool:
        return self.state != State.CLOSED


class Cancelled(NamedTuple):
    """A task that was deleted before it closed: cancelled, or deleted by a manager while it was leased.

    `cancelled` is when, in Unix seconds.
    """

    id: int
    project: int
    cancelled: float
    submitter: int | None
    state: State = State.CANCELLED


def by_ids(ids: Sequence[int], reader: Reader) -> dict[int, Status]:
    """The tasks with these ids that the reader may know of."""
    rows = db.rows(BY_IDS, {"ids": list(ids), **_values(reader)})
    return {row[0]: _status(row) for row in rows}


def by_hashes(project_id: int, hashes: Sequence[int], reader: Reader) -> dict[int, Status]:
    """The tasks of a project with these hashes that the reader may know of, by hash.

    A hash may have closed tasks besides an open one: then it is the open one, else the one that closed last.
    """
    rows = db.rows(BY_HASHES, {"project": project_id, "hashes": db.array(hashes), **_values(reader)})
    return {status.hash64: status for status in (_status(row) for row in rows) if status.hash64 is not None}


def cancelled(ids: Sequence[int], reader: Reader) -> dict[int, Cancelled]:
    """Those of these tasks that were cancelled, as long as that is kept, and that the reader may know of."""
    if not ids:
        return {}
    return {row[0]: Cancelled(*row) for row in db.rows(CANCELLED, {"ids": list(ids), **_values(reader)})}


def attempts(tasks: Sequence[Status | Cancelled], reader: Reader) -> dict[int, list[Attempt]]:
    """The newest attempts at these tasks, by task, newest first."""
    rows = db.rows(LAST_ATTEMPTS, {"ids": [task.id for task in tasks], "limit": ATTEMPTS, "bytes": ATTEMPTS_BYTES})
    # Also of a cancelled task: who has cancelled it might submit it again.
    hidden = set() if reader.sees_votes else {task.id for task in tasks if task.state != State.CLOSED}
    found: dict[int, list[Attempt]] = {}
    for task_id, *columns in rows:
        one = Attempt(*columns)
        one = one._replace(outcome=Outcome(one.outcome), reason=None if one.reason is None else Reason(one.reason))
        if one.outcome == Outcome.VOTED and task_id in hidden:
            one = one._replace(message=None, output=None)
        found.setdefault(task_id, []).append(one)
    return found


def _values(reader: Reader) -> dict[str, Any]:
    return {"submitter": reader.submitter, "projects": list(reader.projects), "bytes": settings.MAX_BATCH_BYTES}


def _status(row: tuple[Any, ...]) -> Status:
    status = Status(*row)
    return status._replace(state=State(status.state))


_OPEN = """
    SELECT task.id, task.project_id,
           CASE WHEN task.status = 2 THEN 'failed' WHEN task.status = 3 THEN 'delayed'
                WHEN task.assignee_id IS NOT NULL THEN 'leased'
                WHEN NOT array_remove(task.votes, NULL) = '{}' THEN 'awaiting' ELSE 'ready' END AS state,
           task.hash64, task.priority, task.retries, task.expiries::int, task.verification_count::int,
           extract(epoch FROM task.created)::float8 AS created, extract(epoch FROM task.run_at)::float8 AS run_at,
           extract(epoch FROM task.expires_at)::float8 AS expires_at, task.assignee_id AS worker,
           extract(epoch FROM task.assign_time)::float8 AS assign_time,
           extract(epoch FROM task.lease_expires)::float8 AS lease_expires, NULL::float8 AS closed,
           NULL::bigint AS verification, task.voters, task.votes, task.submitter_id,
           NULL::text AS message, NULL::text AS output, NULL::float8 AS seconds, NULL::text AS version
    FROM tasks_task AS task
""".strip()

_CLOSED = """
    SELECT task.id, task.project_id, 'closed' AS state, task.hash64, task.priority, task.retries,
           NULL::int AS expiries, NULL::int AS verification_count,
           extract(epoch FROM task.created)::float8 AS created, NULL::float8 AS run_at, NULL::float8 AS expires_at,
           task.worker_id AS worker,
           extract(epoch FROM task.assign_time)::float8 AS assign_time, NULL::float8 AS lease_expires,
           extract(epoch FROM task.closed)::float8 AS closed,
           task.verification, task.voters, task.votes, task.submitter_id,
           task.message, task.output, task.seconds, task.version::text
    FROM tasks_closedtask AS task
""".strip()

_MAY = "(task.submitter_id = %(submitter)s OR task.project_id = ANY (%(projects)s::bigint[]))"


def _bounded(tasks: str) -> str:
    """The tasks, with outputs only as long as they have no more than `bytes` together."""
    return f"""
SELECT told.id, told.project_id, told.state, told.hash64, told.priority, told.retries, told.expiries,
       told.verification_count, told.created, told.run_at, told.expires_at, told.worker,
       told.assign_time, told.lease_expires, told.closed,
       told.verification, told.voters, told.votes, told.submitter_id, told.message,
       CASE WHEN told.bytes <= %(bytes)s THEN told.output END, told.seconds, told.version,
       told.output IS NOT NULL AND told.bytes > %(bytes)s
FROM (
    SELECT task.*, sum(coalesce(octet_length(task.output), 0)) OVER (ORDER BY task.id ROWS UNBOUNDED PRECEDING) AS bytes
    FROM ({tasks}) AS task
) AS told
ORDER BY told.closed IS NOT NULL DESC, told.id
"""


# Of a task that closes between the two halves of the statement, neither is missed: they have one snapshot.
BY_IDS = _bounded(f"""
{_OPEN} WHERE task.id = ANY (%(ids)s::bigint[]) AND {_MAY}
UNION ALL
{_CLOSED} WHERE task.id = ANY (%(ids)s::bigint[]) AND {_MAY}
""")

# Uses the indexes task_hash_unique and closedtask_by_hash. The open task comes last, so that it counts.
BY_HASHES = _bounded(f"""
SELECT last.* FROM unnest(%(hashes)s::bigint[]) AS asked (hash)
CROSS JOIN LATERAL (
    {_CLOSED}
    WHERE task.project_id = %(project)s AND task.hash64 = asked.hash AND task.hash64 IS NOT NULL AND {_MAY}
    ORDER BY task.closed DESC LIMIT 1
) AS last
UNION ALL
({_OPEN} WHERE task.project_id = %(project)s AND task.hash64 = ANY (%(hashes)s::bigint[]) AND {_MAY})
""")

# Uses the index attempt_by_task.
CANCELLED = f"""
SELECT task.task_id, task.project_id, extract(epoch FROM task.ended)::float8, task.submitter_id
FROM unnest(%(ids)s::bigint[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT * FROM tasks_attempt WHERE task_id = asked.id AND outcome = {Outcome.CANCELLED} LIMIT 1
) AS task
WHERE {_MAY}
"""

# Uses the index attempt_by_task. Rows without a worker are no attempts at the task: it was cancelled.
LAST_ATTEMPTS = f"""
SELECT task_id, worker_id, lease, began, ended, outcome, reason,
       CASE WHEN bytes <= %(bytes)s THEN message END, CASE WHEN bytes <= %(bytes)s THEN output END, seconds, version
FROM (
    SELECT last.*, sum(coalesce(octet_length(last.output), 0) + coalesce(octet_length(last.message), 0))
               OVER (ORDER BY last.task_id, last.id DESC ROWS UNBOUNDED PRECEDING) AS bytes
    FROM unnest(%(ids)s::bigint[]) AS asked (id)
    CROSS JOIN LATERAL (
        SELECT id, task_id, worker_id, nullif(lease, {NO_LEASE})::text AS lease,
               extract(epoch FROM began)::float8 AS began, extract(epoch FROM ended)::float8 AS ended,
               outcome, reason, message, output, seconds, version
        FROM tasks_attempt
        WHERE task_id = asked.id AND (worker_id IS NOT NULL OR outcome = {Outcome.FAILED})
        ORDER BY id DESC LIMIT %(limit)s
    ) AS last
) AS told
ORDER BY task_id, id DESC
"""
