"""Groups of failed attempts: what went wrong, how often, when, where, and how many tasks are FAILED for it now.

The scheduler folds new attempts into FailureGroup every ten seconds. A reader adds those that still wait for it, in the
same statement: whoever looks right after a failure finds it, and no attempt is counted twice. Folding here instead
would let each reader write, and wait for the others.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction

from tasks.fingerprints import reason_of, text_of
from tasks.models import Outcome
from tasks.queries.failure_statements import ATTEMPTS, COUNT_FAILED, FIND, GET
from tasks.queries.search import WALK_ALONG, Criteria
from tracker import db, keyset
from tracker.api.errors import NotFound
from tracker.keyset import Cursor
from tracker.steps import Rows
from workers.models import Worker

# How many of the newest entries that wait to be folded a reader looks at. More wait only after 10,000 releases in ten
# seconds; then the counts lag behind.
WAITING = 10_000

# Up to which number the failed tasks of each group in a list are counted, and those of a single group.
COUNTED_IN_LISTS = 1_000
COUNTED = 100_000

# How many workers and versions a group knows, as tasks.queue.tallying folds them.
KNOWN = 100


class NoSuchFailure(NotFound):
    """There is no such group of failures; one is forgotten with its last attempt."""


class Seen(NamedTuple):
    """A worker; `alias` is None if it was deleted."""

    id: int
    alias: str | None


class FailedAttempt(NamedTuple):
    """An attempt of a group. `reason` is LEASE_EXPIRED or the name of a Reason, `output` is JSON.

    A task that failed while nobody held it has neither `worker` nor `began`.
    """

    id: int
    task_id: int
    worker: Seen | None
    began: datetime | None
    ended: datetime
    outcome: Outcome
    reason: str
    message: str | None
    output: str | None
    seconds: float | None
    version: str

    @property
    def took(self) -> float | None:
        """Its seconds by the worker's own count, or else those of the lease; None if nobody held the task."""
        if self.seconds is None and self.began is not None:
            return (self.ended - self.began).total_seconds()
        return self.seconds


class Failure(NamedTuple):
    """A group of failed attempts.

    `total` is how many there were. `workers` and `versions` are the first that had it, at most KNOWN of each.
    `failed_tasks` is how many tasks are FAILED for it; there may be more if `is_cut`. `example` is its newest attempt,
    or None if that is kept no longer.
    """

    project_id: int
    fingerprint: int
    reason: str
    message: str | None
    total: int
    first_seen: datetime
    last_seen: datetime
    workers: list[Seen]
    versions: list[str]
    failed_tasks: int
    is_cut: bool
    example: FailedAttempt | None

    @property
    def key(self) -> str:
        """The fingerprint as text."""
        return text_of(self.fingerprint)


class Failures(NamedTuple):
    """A page of groups, and the cursor of the next one; None at the end."""

    groups: list[Failure]
    following: Cursor | None = None


class FailedAttempts(NamedTuple):
    """A page of attempts, and the id behind which the next one begins; None at the end."""

    attempts: list[FailedAttempt]
    following: int | None = None


def tasks_of(project_id: int, fingerprint: int) -> Criteria:
    """The FAILED tasks of a group, for tasks.maintenance and tasks.queries.search."""
    return Criteria([project_id], failure=fingerprint)


def find(projects: Sequence[int], *, after: Cursor | None = None, limit: int, outputs: bool = False) -> Failures:
    """The groups of these projects, those seen last first.

    With `outputs`, examples have their output, and a page ends early where messages and outputs have more than
    MAX_BATCH_BYTES. Raises BadCursor.
    """
    seen, project, fingerprint = ("infinity", 0, 0) if after is None else keyset.values(after, datetime, int, int)
    values = {
        "projects": list(projects),
        "seen": seen,
        "project": project,
        "fingerprint": fingerprint,
        "waiting": WAITING,
        "limit": limit + 1,
        "outputs": outputs,
        "most": settings.MAX_BATCH_BYTES,
    }
    rows = _rows(FIND, values)
    fitting = _fitting(rows[:limit])
    last = fitting[-1] if len(fitting) < len(rows) else None
    following = None if last is None else [last.last_seen, last.project_id, last.fingerprint]
    return Failures(_failures(fitting, COUNTED_IN_LISTS), following)


def get(project_id: int, fingerprint: int) -> Failure:
    """One group. Raises NoSuchFailure."""
    values = {
        "projects": [project_id],
        "fingerprint": fingerprint,
        "waiting": WAITING,
        "outputs": True,
        "most": settings.MAX_BATCH_BYTES,
    }
    found = _failures(_rows(GET, values), COUNTED)
    if not found:
        raise NoSuchFailure
    return found[0]


def attempts(project_id: int, fingerprint: int, *, after: int | None = None, limit: int) -> FailedAttempts:
    """The newest attempts of a group, those before the attempt with the id `after`.

    A page ends early where messages and outputs have more than MAX_BATCH_BYTES.
    """
    values = {
        "project": project_id,
        "fingerprint": fingerprint,
        "below": 2**63 - 1 if after is None else after,
        "limit": limit + 1,
        "most": settings.MAX_BATCH_BYTES,
    }
    rows = [_AttemptRow(*row) for row in _in_order(ATTEMPTS, values)]
    fitting = _fitting(rows[:limit])
    aliases = _aliases(row.worker_id for row in fitting)
    following = fitting[-1].id if len(fitting) < len(rows) else None
    return FailedAttempts([_attempt(row, aliases) for row in fitting], following)


class _AttemptRow(NamedTuple):
    """A row of ATTEMPTS."""

    id: int
    task_id: int
    worker_id: int | None
    began: datetime | None
    ended: datetime
    outcome: int
    reason: int | None
    message: str | None
    output: str | None
    seconds: float | None
    version: str
    fits: bool = True


class _Row(NamedTuple):
    """A row of FIND and GET: the group as it is folded (`known_…`), and what still waits. `example` is separate."""

    project_id: int
    fingerprint: int
    total: int
    first_seen: datetime
    last_seen: datetime
    known_workers: list[int]
    more_workers: list[int]
    known_versions: list[str]
    more_versions: list[str]
    known_outcome: int
    known_reason: int | None
    known_message: str | None
    fits: bool
    example: _AttemptRow | None

    @property
    def workers(self) -> list[int]:
        return list(dict.fromkeys([*self.known_workers, *self.more_workers]))[:KNOWN]


def _rows(statement: str, values: dict[str, Any]) -> list[_Row]:
    # The columns of the newest attempt come last.
    at = _Row._fields.index("example")
    rows = []
    for row in db.rows(statement, values):
        values_of_group: list[Any] = [*row[:at], None if row[at] is None else _AttemptRow(*row[at:])]
        rows.append(_Row._make(values_of_group))
    return rows


def _fitting(rows: list[Any]) -> list[Any]:
    """The rows up to the one that made the page too long."""
    for number, row in enumerate(rows):
        if not row.fits:
            return rows[:number]
    return rows


def _failures(rows: list[_Row], counted: int) -> list[Failure]:
    """The groups with the names of their workers and the number of their failed tasks, up to `counted`."""
    seen = [worker for row in rows for worker in row.workers]
    aliases = _aliases([*seen, *(row.example.worker_id for row in rows if row.example is not None)])
    values = {
        "projects": [row.project_id for row in rows],
        "fingerprints": [row.fingerprint for row in rows],
        "counted": counted,
    }
    failed = {(project, fingerprint): number for project, fingerprint, number in _in_order(COUNT_FAILED, values)}
    return [_failure(row, aliases, failed[row.project_id, row.fingerprint], counted) for row in rows]


def _in_order(statement: str, values: dict[str, Any]) -> Rows:
    """The rows of a statement that goes along an index.

    The planner would rather sort what few rows it expects, while its statistics may not know yet how many failed.
    """
    with transaction.atomic():
        db.rows(WALK_ALONG)
        return db.rows(statement, values)


def _failure(row: _Row, aliases: dict[int, str], failed: int, counted: int) -> Failure:
    example = row.example
    outcome, reason, message = row.known_outcome, row.known_reason, row.known_message
    if example is not None:
        outcome, reason, message = example.outcome, example.reason, example.message
    return Failure(
        project_id=row.project_id,
        fingerprint=row.fingerprint,
        reason=reason_of(outcome, reason),
        message=message,
        total=row.total,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        workers=[Seen(one, aliases.get(one)) for one in row.workers],
        versions=list(dict.fromkeys([*row.known_versions, *row.more_versions]))[:KNOWN],
        failed_tasks=failed,
        is_cut=failed >= counted,
        example=None if example is None else _attempt(example, aliases),
    )


def _attempt(row: _AttemptRow, aliases: dict[int, str]) -> FailedAttempt:
    return FailedAttempt(
        id=row.id,
        task_id=row.task_id,
        worker=None if row.worker_id is None else Seen(row.worker_id, aliases.get(row.worker_id)),
        began=row.began,
        ended=row.ended,
        outcome=Outcome(row.outcome),
        reason=reason_of(row.outcome, row.reason),
        message=row.message,
        output=row.output,
        seconds=row.seconds,
        version=row.version,
    )


def _aliases(workers: Iterable[int | None]) -> dict[int, str]:
    """The aliases of those workers that still exist."""
    return dict(Worker.objects.filter(pk__in=set(workers) - {None}).values_list("pk", "alias"))
