"""What each worker has done in a project: how its leases and votes ended, and how long its tasks took.

The tallies are in tasks.models.tallies. What the scheduler has not folded into them yet is added in the same statement.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.utils import timezone

from tasks.durations import CLASSES, quantile
from tasks.marks import LEAST, Mark, lowest_share, may_stand_out, outliers, stands_out
from tasks.models import Outcome
from tracker import db
from tracker.api.paging import NotInTheList

# The workers that are compared and listed: those seen last.
MOST_WORKERS = 20_000

# In how many projects a worker is compared with the others, those with the most ended leases first.
MOST_COMPARED = 5

# How many hours of other workers, the newest of the period, tell what is usual in a project where a worker is compared.
MOST_HOURS = 20_000


class Period(StrEnum):
    """Since midnight in the server's time zone; since the hour in which it was this time yesterday; since ever.

    Only whole hours are counted.
    """

    TODAY = "today"
    DAY = "24h"
    ALL = "all"

    def since(self, now: datetime | None = None) -> datetime | None:
        """When the period began, `now` by the database's clock; None for all time."""
        here = timezone.localtime(now or _now())
        if self is Period.TODAY:
            return here.replace(hour=0, minute=0, second=0, microsecond=0)
        return here.replace(minute=0, second=0, microsecond=0) - timedelta(days=1) if self is Period.DAY else None


class Order(StrEnum):
    """What comes first in a list of workers; equals are in the order of their ids."""

    CLOSED = "closed"
    FAILED = "failed"
    DISAGREEMENT = "disagreement"
    SEEN = "seen"


class Statements(NamedTuple):
    """A statement about the time since `since`, and the same about all time."""

    since: str
    ever: str


class Figures(NamedTuple):
    """A worker's figures in a project and a period.

    `agreed` and `outvoted` count its votes, the closing ones among them, on tasks that have closed. `seen` is when
    the newest of all this was; None if that was before these figures were kept. `median` and `p95` are the seconds that
    its closed tasks took; None for no task.
    """

    project: int
    worker: int
    closed: int = 0
    failed: int = 0
    skipped: int = 0
    expired: int = 0
    agreed: int = 0
    outvoted: int = 0
    seen: datetime | None = None
    median: float | None = None
    p95: float | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def lost(self) -> int:
        """The leases that failed or expired."""
        return self.failed + self.expired

    @property
    def ended(self) -> int:
        """The leases that closed their task, voted, failed or expired. Where all tasks are voted on, closings vote."""
        return max(self.closed, self.agreed) + self.outvoted + self.lost

    @property
    def voted(self) -> int:
        """The votes that have turned out right or wrong."""
        return self.agreed + self.outvoted

    @property
    def may_stand_out(self) -> bool:
        """Whether it would be marked if the others never failed or disagreed."""
        return may_stand_out(self.lost, self.ended) or may_stand_out(self.outvoted, self.voted)

    @property
    def failed_share(self) -> float | None:
        """The share of `lost` among `ended`; None without any."""
        return self.lost / self.ended if self.ended > 0 else None

    @property
    def outvoted_share(self) -> float | None:
        """The share of `outvoted` among `voted`; None without any."""
        return self.outvoted / self.voted if self.voted > 0 else None


def of_project(
    project: int, period: Period, *, order: Order = Order.CLOSED, after: int | None = None, limit: int
) -> tuple[list[Figures], bool]:
    """The figures of a project's workers from behind one of them on, and whether there are more. Raises NotInTheList.

    Numbers that change between two pages may move a worker from one to the other.
    """
    found = compared(project, period)
    found.sort(key=lambda one: (_KEYS[order](one), one.worker))
    start = 0
    if after is not None:
        start = next((place for place, one in enumerate(found, 1) if one.worker == after), 0)
        if not start:
            raise NotInTheList
    return _with_times(found[start : start + limit], period), start + limit < len(found)


def of_worker(worker: int, projects: Iterable[int], period: Period, *, compare: bool = True) -> list[Figures]:
    """A worker's figures in those of these projects in which it has any, the most ended leases first.

    With `compare`, it is marked where it stands out, in up to MOST_COMPARED projects.
    """
    found = _counted(WORKER_COUNTS, period, projects=db.array(projects), worker=worker)
    found.sort(key=lambda one: (-one.ended, one.project))
    suspect = [one.project for one in found if one.may_stand_out][:MOST_COMPARED] if compare else []
    usual = {project: _usual(project, worker, period) for project in suspect}
    return _with_times([_marked(one, *usual.get(one.project, (None, None))) for one in found], period)


def compared(project: int, period: Period) -> list[Figures]:
    """The figures of all workers of a project, but for the times, with marks for those that stand out."""
    found = _counted(PROJECT_COUNTS, period, project=project, most=MOST_WORKERS)
    failing = outliers({one.worker: (one.lost, one.ended) for one in found})
    disagreeing = outliers({one.worker: (one.outvoted, one.voted) for one in found})
    for place, one in enumerate(found):
        if one.worker in failing or one.worker in disagreeing:
            kinds = ((Mark.FAILS, failing), (Mark.DISAGREES, disagreeing))
            found[place] = one._replace(marks=tuple(mark for mark, marked in kinds if one.worker in marked))
    return found


def _usual(project: int, worker: int, period: Period) -> tuple[float | None, float | None]:
    """The medians of what the other workers lose and of how often they are outvoted; None: no others.

    As `compared` takes them, unless the project has more than MOST_HOURS.
    """
    since = period.since()
    values = {"project": project, "worker": worker, "since": since, "most": MOST_HOURS}
    ((lost, outvoted),) = db.rows(USUAL.ever if since is None else USUAL.since, values)
    return lost, outvoted


def _marked(one: Figures, usual_lost: float | None, usual_outvoted: float | None) -> Figures:
    """With marks where the worker stands out from what is usual, if there is anybody to compare it with."""
    fails = usual_lost is not None and stands_out(one.lost, one.ended, usual=usual_lost)
    disagrees = usual_outvoted is not None and stands_out(one.outvoted, one.voted, usual=usual_outvoted)
    marks = ((Mark.FAILS, fails), (Mark.DISAGREES, disagrees))
    return one._replace(marks=tuple(mark for mark, is_marked in marks if is_marked))


# Of shares, those that are surely the highest come first: 1 of 1 says less than 90 of 100.
_KEYS: dict[Order, Callable[[Figures], Any]] = {
    Order.CLOSED: lambda one: -one.closed,
    Order.FAILED: lambda one: (-lowest_share(one.lost, one.ended), -one.lost),
    Order.DISAGREEMENT: lambda one: (-lowest_share(one.outvoted, one.voted), -one.outvoted),
    Order.SEEN: lambda one: -one.seen.timestamp() if one.seen else 0,
}


def _now() -> datetime:
    ((now,),) = db.rows("SELECT now()")
    return now  # type: ignore[no-any-return]


def _counted(statements: Statements, period: Period, **values: Any) -> list[Figures]:
    since = period.since()
    rows = db.rows(statements.ever if since is None else statements.since, values | {"since": since})
    return [Figures(*row) for row in rows]


def _with_times(found: list[Figures], period: Period) -> list[Figures]:
    """With the quantiles of the times of their closed tasks."""
    if not found:
        return []
    since = period.since()
    values = {
        "projects": db.array({one.project for one in found}),
        "workers": db.array({one.worker for one in found}),
        "since": since,
    }
    counts: dict[tuple[int, int], list[int]] = {}
    for project, worker, place, count in db.rows(DURATIONS.ever if since is None else DURATIONS.since, values):
        # What was put back may have been counted in the class next to it.
        counts.setdefault((project, worker), [0] * CLASSES)[place] = max(count, 0)
    return [
        one._replace(median=quantile(classes, 0.5), p95=quantile(classes, 0.95))
        if (classes := counts.get((one.project, one.worker)))
        else one
        for one in found
    ]


# What is not folded is little. The rest uses the unique indexes on project and worker (and hour).
_COUNTS = f"""
SELECT project_id, worker_id, sum(closed{{narrow}})::bigint, sum(failed{{narrow}})::bigint,
       sum(skipped{{narrow}})::bigint, sum(expired{{narrow}})::bigint, sum(agreed{{narrow}})::bigint,
       sum(outvoted{{narrow}})::bigint, max(seen)
FROM (
    {{tallies}}
    UNION ALL
    SELECT project_id, worker_id, count, 0, 0, 0, 0, 0, at
    FROM tasks_closedentry WHERE {{which}} AND at >= {{since}}
    UNION ALL
    SELECT project_id, worker_id, 0,
           (outcome = {Outcome.FAILED})::int, (outcome = {Outcome.SKIPPED})::int, (outcome = {Outcome.EXPIRED})::int,
           (outcome = {Outcome.AGREED})::int, (outcome = {Outcome.OUTVOTED})::int, at
    FROM tasks_outcomeentry WHERE {{which}} AND at >= {{since}} AND worker_id IS NOT NULL
) AS part
GROUP BY project_id, worker_id
"""
# For a whole project, reads nothing but the index workertally_figures. Grouped here, where the planner knows how many
# groups there are. What a worker does in the hours that are kept fits in an int, and adding ints takes half the time.
_SINCE = """SELECT project_id, worker_id, sum(closed::int) AS closed, sum(failed::int) AS failed,
           sum(skipped::int) AS skipped, sum(expired::int) AS expired, sum(agreed::int) AS agreed,
           sum(outvoted::int) AS outvoted, max(seen) AS seen
    FROM {source} WHERE {which} AND hour >= %(since)s GROUP BY project_id, worker_id"""
# The closed tasks of all time are counted since before there were tallies.
_EVER = """SELECT project_id, worker_id, 0 AS closed, failed, skipped, expired, agreed, outvoted, seen
    FROM tasks_workertally WHERE {which} AND hour IS NULL
    UNION ALL
    SELECT project_id, worker_id, count, 0, 0, 0, 0, 0, NULL FROM tasks_closedtotal WHERE {which}"""


def _counts(which: str, last: str = "", source: str = "tasks_workertally") -> Statements:
    tallies = _SINCE.format(which=which, source=source)
    ever = _EVER.format(which=which)
    return Statements(
        since=_COUNTS.format(tallies=tallies, which=which, since="%(since)s", narrow="::int") + last,
        ever=_COUNTS.format(tallies=ever, which=which, since="'-infinity'", narrow="") + last,
    )


PROJECT_COUNTS = _counts("project_id = %(project)s", "ORDER BY max(seen) DESC NULLS LAST, worker_id LIMIT %(most)s")
WORKER_COUNTS = _counts("project_id = ANY (%(projects)s::bigint[]) AND worker_id = %(worker)s")

# Computes as Figures.lost, ended and voted do.
_USUAL = f"""
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lost::float8 / ended) FILTER (WHERE ended >= {LEAST}),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY outvoted::float8 / voted) FILTER (WHERE voted >= {LEAST})
FROM (
    SELECT lost, greatest(closed, agreed) + outvoted + lost AS ended, outvoted, agreed + outvoted AS voted
    FROM (
        SELECT worker_id, closed, agreed, outvoted, failed + expired AS lost
        FROM ({{counts}}) AS one (project_id, worker_id, closed, failed, skipped, expired, agreed, outvoted, seen)
    ) AS summed
    WHERE worker_id <> %(worker)s
) AS others
"""
_NEWEST_HOURS = """(
        SELECT * FROM tasks_workertally WHERE project_id = %(project)s AND hour >= %(since)s
        ORDER BY hour DESC LIMIT %(most)s
    ) AS newest"""
_OTHERS = _counts("project_id = %(project)s", source=_NEWEST_HOURS)
USUAL = Statements(*(_USUAL.format(counts=counts) for counts in _OTHERS))

# How many closed tasks took how long, in classes from 0 on.
_DURATIONS = """
SELECT project_id, worker_id, class, sum(count)::bigint
FROM (
    SELECT project_id, worker_id, (one.place - 1)::int AS class, one.count
    FROM tasks_workertally CROSS JOIN LATERAL unnest(durations) WITH ORDINALITY AS one (count, place)
    WHERE {which} AND {hours} AND one.count <> 0
    UNION ALL
    SELECT project_id, worker_id, duration, count FROM tasks_closedentry WHERE {which} AND at >= {since}
) AS part
GROUP BY project_id, worker_id, class
"""
_THESE = "project_id = ANY (%(projects)s::bigint[]) AND worker_id = ANY (%(workers)s::bigint[])"
DURATIONS = Statements(
    since=_DURATIONS.format(which=_THESE, hours="hour >= %(since)s", since="%(since)s"),
    ever=_DURATIONS.format(which=_THESE, hours="hour IS NULL", since="'-infinity'"),
)
