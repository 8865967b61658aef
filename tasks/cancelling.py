"""Cancelling tasks: those who submitted them don't need them any more.

A cancelled task is deleted. It does not count as closed, and nothing of it goes on to the next project of a chain. Who
holds it learns from its heartbeat or its release. What remains is a row of tasks_attempt with the outcome CANCELLED.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tasks import maintenance
from tasks.maintenance import CANCELLED, DELETED
from tasks.queries.search import Criteria
from tracker import db

# A call with a filter ends after so many seconds, once it has cancelled anything.
SECONDS = 5.0


class Canceller(NamedTuple):
    """Whose tasks may be cancelled: those that a worker has submitted, and all of some projects."""

    submitter: int | None = None
    projects: Sequence[int] = ()


def cancel_ids(ids: Sequence[int], canceller: Canceller) -> set[int]:
    """Cancel the tasks with these ids. Returns the ids of those that there were and that may be cancelled."""
    return {task for task, _ in db.rows_again(CANCEL_IDS, {"ids": db.array(ids), **_values(canceller)})}


def cancel_hashes(project_id: int, hashes: Sequence[int], canceller: Canceller) -> dict[int, int]:
    """The same for tasks of a project with these hashes: returns their ids by hash."""
    values = {"project": project_id, "hashes": db.array(hashes), **_values(canceller)}
    return {hash64: task for task, hash64 in db.rows_again(CANCEL_HASHES, values)}


def cancel_matching(criteria: Criteria) -> maintenance.Cancelled:
    """Cancel all matching tasks, in batches, until the time is over. It is the caller that checks whose they are."""
    return maintenance.cancel_matching(criteria, seconds=SECONDS)


def _values(canceller: Canceller) -> dict[str, object]:
    return {"submitter": canceller.submitter, "allowed": db.array(canceller.projects)}


_MAY = "(submitter_id = %(submitter)s OR project_id = ANY (%(allowed)s::bigint[]))"


def _cancel(condition: str) -> str:
    """Locks in the order of ids, as releases do; waits for rows that are just being leased or released."""
    noted = CANCELLED.format(condition="true")
    return f"""
WITH deleted AS (
    DELETE FROM tasks_task
    WHERE id = ANY (ARRAY(
        SELECT id FROM tasks_task
        WHERE {condition} AND {_MAY}
        ORDER BY id
        FOR UPDATE
    ))
    RETURNING {DELETED}
){noted}
"""


CANCEL_IDS = _cancel("id = ANY (%(ids)s::bigint[])")

# Uses the index task_hash_unique.
CANCEL_HASHES = _cancel("project_id = %(project)s AND hash64 = ANY (%(hashes)s::bigint[]) AND hash64 IS NOT NULL")
