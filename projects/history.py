"""How a project stood over time, thinned out for charts."""

from datetime import datetime
from typing import NamedTuple

from projects.models import Project
from tracker import db

# The spans that a chart can show, in seconds, by the name that addresses use.
RANGES = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400, "all": 400 * 3_600}
POINTS = 300


class Point(NamedTuple):
    """What a project's snapshot told. `closed` counts from the beginning of time."""

    taken: datetime
    ready: int
    leased: int
    failed: int
    awaiting: int
    closed: int
    version: str


def history(project: Project, *, seconds: int) -> list[Point]:
    """The snapshots of the last `seconds`, the oldest first: of each 300th of that time the last one.

    The snapshot before them comes first, if there is one, so that a line begins where the chart does.
    """
    values = {"project": project.pk, "seconds": seconds, "width": seconds / POINTS}
    return [Point(*row) for row in db.rows(HISTORY, values)]


# By snapshot_newest.
HISTORY = """
(
    SELECT taken, new_task_count - leased_task_count, leased_task_count, failed_task_count,
           awaiting_verification_count, closed_task_count, version
    FROM projects_snapshot
    WHERE project_id = %(project)s AND taken <= now() - make_interval(secs => %(seconds)s)
    ORDER BY taken DESC
    LIMIT 1
) UNION ALL (
    SELECT DISTINCT ON (floor(extract(epoch FROM taken) / %(width)s))
           taken, new_task_count - leased_task_count, leased_task_count, failed_task_count,
           awaiting_verification_count, closed_task_count, version
    FROM projects_snapshot
    WHERE project_id = %(project)s AND taken > now() - make_interval(secs => %(seconds)s)
    ORDER BY floor(extract(epoch FROM taken) / %(width)s), taken DESC
)
ORDER BY taken
"""
