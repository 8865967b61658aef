"""How many of projects' leases end how per time: the rates of the last minute and hour, and series for charts.

They come from the tallies of whole minutes, to which each statement adds what the scheduler has not folded yet.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from projects.models import Project
from tasks.models import Outcome
from tracker import db

MINUTE, HOUR = 60, 3600

# A rate is not measured over less: the first tasks of a batch would make it huge.
SHORTEST_SECONDS = 10

# A series has fewer points, so its steps are the first of these, in seconds, that are long enough.
MOST_POINTS = 200
_DAY = 86_400
STEPS = (60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, _DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY)


class Period(NamedTuple):
    """How many leases ended in the last `seconds`.

    Exact but for the minute in which the period begins: of what ended in it, as much is counted as it overlaps the
    period. `seconds` is shorter than the period that was asked for if the project's first lease ended since.
    """

    seconds: float
    closed: float
    failed: float
    expired: float

    @property
    def rate(self) -> float:
        """Closed tasks per second."""
        return self.closed / self.seconds


class Rates(NamedTuple):
    """A project's last minute and last hour, and when its first lease ended as far as is known."""

    began: datetime
    minute: Period
    hour: Period


class Series(NamedTuple):
    """How many leases ended in each step of `step` seconds. The first of `times`, in Unix time, begins the first step.

    The last step is the present one, which is not over yet.
    """

    step: int
    times: list[int]
    closed: list[int]
    failed: list[int]
    expired: list[int]


def rates(projects: Iterable[Project], *, at: datetime | None = None) -> dict[int, Rates]:
    """The rates of those projects of which a lease has ended, by project id; `at` a time, by default now."""
    values = {"projects": [project.pk for project in projects], "at": at}
    found: dict[int, Rates] = {}
    for project_id, began, age, *counts in db.rows(RATES, values):
        known = max(age, SHORTEST_SECONDS)
        minute, hour = Period(min(MINUTE, known), *counts[:3]), Period(min(HOUR, known), *counts[3:])
        found[project_id] = Rates(began, minute, hour)
    return found


def series(project: Project, *, begin: float, end: float) -> Series:
    """How many leases ended in steps from one Unix time to another; the whole step that contains `begin` counts."""
    step = step_for(end - begin)
    times = list(range(math.floor(begin / step) * step, math.floor(end) + 1, step))
    values = {"project": project.pk, "begin": datetime.fromtimestamp(times[0], UTC), "step": step}
    counts = {int(time): tuple(map(int, rest)) for time, *rest in db.rows(SERIES, values)}
    # What ends while the statement begins belongs to the last step.
    late = [counts.pop(time) for time in list(counts) if time > times[-1]]
    counts[times[-1]] = tuple(map(sum, zip(counts.get(times[-1], (0, 0, 0)), *late, strict=True)))
    columns = zip(*(counts.get(time, (0, 0, 0)) for time in times), strict=True)
    return Series(step, times, *map(list, columns))


def step_for(seconds: float) -> int:
    """The steps of a series over so many seconds."""
    return next((step for step in STEPS if seconds / step + 2 <= MOST_POINTS), STEPS[-1])


_NOW = "coalesce(%(at)s::timestamptz, now())"


def _share(seconds: int) -> str:
    """Which part of a span is in the last `seconds`. It is taken to be spread evenly, from the first ended lease on."""
    edge = f"{_NOW} - interval '{seconds} s'"
    return f"""CASE WHEN begins >= {edge} THEN 1 WHEN ends <= {edge} THEN 0
        ELSE extract(epoch FROM ends - ({edge}))::float / extract(epoch FROM ends - begins)::float END"""


def _sums(share: str) -> str:
    return ", ".join(f"coalesce(sum({share} * {name}), 0)" for name in ("closed", "failed", "expired"))


# The time at which a project's first lease ended is the first of its minutes; if that was within the last hour, the
# first of the rows that tell it to the microsecond, unless they have been deleted already (then they are later than the
# minute) or tell of a time from which there are no tallies. The tallies are read by their unique index on project and
# minute: 61 rows of each project, and the first one. The entries have no index; they are read once for all projects.
RATES = f"""
WITH fresh AS MATERIALIZED (
    SELECT project_id, at, count AS closed, 0 AS failed, 0 AS expired
    FROM tasks_closedentry WHERE project_id = ANY (%(projects)s)
    UNION ALL
    SELECT project_id, at, 0, (outcome = {Outcome.FAILED})::int, (outcome = {Outcome.EXPIRED})::int
    FROM tasks_outcomeentry WHERE project_id = ANY (%(projects)s)
), began AS MATERIALIZED (
    SELECT asked.project_id,
           CASE WHEN known.at < tally.minute + interval '1 minute'
                THEN greatest(known.at, least(tally.minute, fresh.at))
                ELSE coalesce(tally.minute, fresh.at) END AS at
    FROM unnest(%(projects)s::bigint[]) AS asked (project_id)
    LEFT JOIN LATERAL (
        SELECT minute FROM tasks_projecttally WHERE project_id = asked.project_id ORDER BY minute LIMIT 1
    ) AS tally ON true
    LEFT JOIN (SELECT project_id, min(at) AS at FROM fresh GROUP BY project_id) AS fresh USING (project_id)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN tally.minute > {_NOW} - interval '61 minutes' THEN least(
            (SELECT min(closed) FROM tasks_closedtask WHERE project_id = asked.project_id),
            (SELECT min(ended) FROM tasks_attempt WHERE project_id = asked.project_id),
            fresh.at
        ) END AS at
    ) AS known
), spans AS (
    SELECT project_id, minute, least(minute + interval '1 minute', {_NOW}) AS ends, closed, failed, expired
    FROM tasks_projecttally
    WHERE project_id = ANY (%(projects)s) AND minute > {_NOW} - interval '61 minutes'
    UNION ALL
    SELECT project_id, at, at, closed, failed, expired FROM fresh
), parts AS (
    SELECT project_id, at, closed, failed, expired,
           {_share(MINUTE)} AS minute,
           {_share(HOUR)} AS hour
    FROM (
        SELECT began.project_id, began.at, greatest(spans.minute, began.at) AS begins, ends, closed, failed, expired
        FROM began LEFT JOIN spans USING (project_id)
        WHERE began.at IS NOT NULL
        OFFSET 0
    ) AS spans
    OFFSET 0
)
SELECT project_id, at, extract(epoch FROM {_NOW} - at)::float,
       {_sums("minute")}, {_sums("hour")}
FROM parts
GROUP BY project_id, at
"""

# Uses the unique index of the tallies.
SERIES = f"""
SELECT floor(extract(epoch FROM minute) / %(step)s) * %(step)s, sum(closed), sum(failed), sum(expired)
FROM (
    SELECT minute, closed, failed, expired FROM tasks_projecttally
    WHERE project_id = %(project)s AND minute >= %(begin)s
    UNION ALL
    SELECT at, count, 0, 0 FROM tasks_closedentry WHERE project_id = %(project)s AND at >= %(begin)s
    UNION ALL
    SELECT at, 0, (outcome = {Outcome.FAILED})::int, (outcome = {Outcome.EXPIRED})::int
    FROM tasks_outcomeentry WHERE project_id = %(project)s AND at >= %(begin)s
) AS ended
GROUP BY 1
"""
