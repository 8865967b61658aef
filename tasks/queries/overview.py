"""The current numbers of tasks in projects, for pages that must open fast however many tasks there are."""

from collections.abc import Iterable
from typing import NamedTuple

from projects.models import Project
from tasks.models import AWAITING
from tasks.queries.rates import Rates, rates
from tracker import db

# Up to how many tasks of one state are counted, in a list of projects and for a single project. Beyond, the count of
# the last snapshot is used.
COUNTED_IN_LISTS = 1_000
COUNTED_ALONE = 100_000

SPARKLINE_HOURS = 24


class Overview(NamedTuple):
    """A project's tasks by state. Those `awaiting` further verifications are also ready or delayed.

    `approximate` is True when a count comes from the last snapshot. `oldest_seconds` is the age of the oldest ready
    task, None if there is none. `rates` is None as long as no lease has ended.
    """

    ready: int = 0
    leased: int = 0
    delayed: int = 0
    failed: int = 0
    awaiting: int = 0
    closed: int = 0
    oldest_seconds: float | None = None
    approximate: bool = False
    rates: Rates | None = None

    @property
    def open(self) -> int:
        """Tasks still to be done."""
        return self.ready + self.leased + self.delayed

    @property
    def done_share(self) -> float | None:
        """The share of closed tasks in all, 0 to 1; None if there is no task."""
        every = self.open + self.failed + self.closed
        return self.closed / every if every else None

    @property
    def rate(self) -> float | None:
        """The closed tasks per second of the last hour; None as long as no lease has ended."""
        return self.rates.hour.rate if self.rates else None

    @property
    def eta_seconds(self) -> float | None:
        """How long the open tasks will take at the rate of the last hour; None if there is no rate or no open task."""
        return self.open / self.rate if self.rate and self.open else None


def overviews(projects: Iterable[Project], *, counted: int = COUNTED_IN_LISTS) -> dict[int, Overview]:
    """The overviews of these projects, by project id. Tasks of one state are counted up to `counted`."""
    asked = list(projects)
    values = {"projects": [project.pk for project in asked], "counted": counted}
    speeds = rates(asked)
    return {
        project_id: Overview(*numbers)._replace(rates=speeds.get(project_id))
        for project_id, *numbers in db.rows(OVERVIEWS, values)
    }


def overview(project: Project) -> Overview:
    """The overview of one project."""
    return overviews([project], counted=COUNTED_ALONE)[project.pk]


def sparklines(projects: Iterable[Project]) -> dict[int, list[int]]:
    """How many tasks each project closed in each of the last SPARKLINE_HOURS, oldest first.

    Of those projects of which a lease has ended in that time. A minute counts in the hour in which it began.
    """
    values = {"projects": [project.pk for project in projects], "hours": SPARKLINE_HOURS}
    lines: dict[int, list[int]] = {}
    for project_id, hours_ago, closed in db.rows(SPARKLINES, values):
        # What was put back is taken off the minute in which it had closed, which may not be counted any more.
        lines.setdefault(project_id, [0] * SPARKLINE_HOURS)[-1 - hours_ago] = max(closed, 0)
    return lines


# Each count scans one partial index and stops at `counted`; so does the search for the oldest task. The ORDER BY makes
# no difference to a count but keeps the planner to the index: without it, a project with many tasks makes a sequential
# scan look cheap, and for a project with few tasks that scan reads the whole table. Where a count stops, the last
# snapshot's count is used, but never less than was counted. The entries, which have no index, are read once for all
# projects.
OVERVIEWS = f"""
WITH unfolded AS MATERIALIZED (
    SELECT project_id, sum(count)::bigint AS count
    FROM tasks_closedentry WHERE project_id = ANY (%(projects)s)
    GROUP BY project_id
)
SELECT project.id,
       CASE WHEN ready.count < %(counted)s THEN ready.count
            ELSE greatest(ready.count, last.new_task_count - last.leased_task_count - last.delayed_task_count) END,
       CASE WHEN leased.count < %(counted)s THEN leased.count
            ELSE greatest(leased.count, last.leased_task_count) END,
       CASE WHEN delayed.count < %(counted)s THEN delayed.count
            ELSE greatest(delayed.count, last.delayed_task_count) END,
       CASE WHEN failed.count < %(counted)s THEN failed.count
            ELSE greatest(failed.count, last.failed_task_count) END,
       CASE WHEN awaiting.count < %(counted)s THEN awaiting.count
            ELSE greatest(awaiting.count, last.awaiting_verification_count) END,
       coalesce(closed.count, 0) + coalesce(unfolded.count, 0),
       extract(epoch FROM now() - CASE WHEN ready.count < %(counted)s
           THEN (SELECT created FROM tasks_task WHERE id = ready.oldest)
           ELSE last.oldest_ready END)::float,
       greatest(ready.count, leased.count, delayed.count, failed.count, awaiting.count) >= %(counted)s
FROM projects_project AS project
CROSS JOIN LATERAL (
    SELECT count(*), min(id) AS oldest FROM (
        (
            SELECT id FROM tasks_task
            WHERE project_id = project.id AND status = 1 AND assignee_id IS NULL AND voters = '{{}}'
            ORDER BY rank DESC, id LIMIT %(counted)s
        ) UNION ALL (
            SELECT id FROM tasks_task
            WHERE project_id = project.id AND status = 1 AND assignee_id IS NULL AND NOT voters = '{{}}'
            ORDER BY rank DESC, id LIMIT %(counted)s
        )
    ) AS seen
) AS ready
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM tasks_task WHERE project_id = project.id AND assignee_id IS NOT NULL
        ORDER BY lease_expires LIMIT %(counted)s
    ) AS seen
) AS leased
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM tasks_task WHERE project_id = project.id AND status = 3
        ORDER BY run_at LIMIT %(counted)s
    ) AS seen
) AS delayed
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM tasks_task WHERE project_id = project.id AND status = 2
        ORDER BY id LIMIT %(counted)s
    ) AS seen
) AS failed
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM tasks_task WHERE project_id = project.id AND {AWAITING}
        ORDER BY id LIMIT %(counted)s
    ) AS seen
) AS awaiting
CROSS JOIN LATERAL (
    SELECT sum(count)::bigint AS count FROM tasks_closedtotal WHERE project_id = project.id
) AS closed
LEFT JOIN unfolded ON unfolded.project_id = project.id
LEFT JOIN LATERAL (
    SELECT * FROM projects_snapshot WHERE project_id = project.id ORDER BY taken DESC LIMIT 1
) AS last ON true
WHERE project.id = ANY (%(projects)s)
"""

# Reads the tallies of each project by their unique index on project and minute, and once for all projects what is not
# folded into them yet.
SPARKLINES = """
SELECT project_id, greatest(floor(extract(epoch FROM now() - at)::float8 / 3600), 0)::int, sum(closed::int)
FROM (
    SELECT project_id, minute AS at, closed FROM tasks_projecttally
    WHERE project_id = ANY (%(projects)s) AND minute > now() - make_interval(hours => %(hours)s)
    UNION ALL
    SELECT project_id, at, count FROM tasks_closedentry
    WHERE project_id = ANY (%(projects)s) AND at > now() - make_interval(hours => %(hours)s)
) AS ended
GROUP BY 1, 2
"""
