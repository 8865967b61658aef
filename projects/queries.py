"""Read-only queries about projects."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings

from projects.models import Project, Snapshot
from tracker import db
from tracker.api import paging

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

MOST_SNAPSHOTS = 10_000

#: How many intervals `history` divides its period into.
POINTS = 300


def newest_snapshots(project: Project, *, count: int) -> list[Snapshot]:
    """The last snapshots, newest first."""
    return list(Snapshot.objects.filter(project=project).order_by("-taken")[:count])


def snapshots_between(project: Project, *, begin: int, end: int) -> list[Snapshot]:
    """The snapshots between two Unix times, both included, newest first; MOST_SNAPSHOTS at most."""
    times = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
    return list(Snapshot.objects.filter(project=project, taken__range=times).order_by("-taken")[:MOST_SNAPSHOTS])


def projects_page(
    viewer: "User | AnonymousUser", *, after: int | None, limit: int
) -> tuple[list[Project], dict[str, Any]]:
    """The projects that the viewer may know of, by name, from behind one on, and what is said of the next page.

    A page ends early, too, where its projects' texts have more than MAX_BATCH_BYTES. Raises NotInTheList.
    """
    # Without the secrets, which may be long.
    visible = Project.objects.visible_to(viewer).defer("secret", "webhook_secret")
    projects: list[Project] = []
    left = settings.MAX_BATCH_BYTES
    for project in paging.behind(visible, key="name", after=after)[: limit + 1].iterator(chunk_size=100):
        texts = project.name, project.motd, project.clone_url, project.git_repo, project.version
        left -= sum(len(text.encode()) for text in texts)
        if projects and (left < 0 or len(projects) == limit):
            return projects, {"after": projects[-1].pk}
        projects.append(project)
    return projects, {}


class Totals(NamedTuple):
    """The tasks of several projects by state; `rate`, in closed tasks per second, is None if it isn't known of any."""

    ready: int = 0
    leased: int = 0
    delayed: int = 0
    failed: int = 0
    closed: int = 0
    rate: float | None = None


def newest_totals(project_ids: Sequence[int], *, rate_seconds: int) -> Totals:
    """The totals of these projects at their newest snapshots; the rates are those of the `rate_seconds` before."""
    if not project_ids:
        return Totals()
    return Totals(*db.rows(TOTALS, {"projects": list(project_ids), "rate_seconds": rate_seconds})[0])


class Point(NamedTuple):
    """The counts of one snapshot. `closed` is the total since the project was created."""

    taken: datetime
    ready: int
    leased: int
    delayed: int
    failed: int
    awaiting: int
    closed: int
    version: str


def history(project: Project, *, seconds: int) -> list[Point]:
    """The snapshots of the last `seconds`, oldest first; only the last one of each of POINTS intervals.

    Begins with the last snapshot before that period, if there is one, so that a line starts at the chart's edge. The
    intervals are shorter if the first snapshot is younger than `seconds`.
    """
    values = {"project": project.pk, "seconds": seconds, "points": POINTS}
    return [Point(*row) for row in db.rows(HISTORY, values)]


# Uses the index snapshot_newest.
HISTORY = """
WITH part AS (
    SELECT greatest(least(extract(epoch FROM now() - min(taken)), %(seconds)s), 1) / %(points)s AS width
    FROM projects_snapshot WHERE project_id = %(project)s
)
(
    SELECT taken, new_task_count - leased_task_count - delayed_task_count, leased_task_count, delayed_task_count,
           failed_task_count, awaiting_verification_count, closed_task_count, version
    FROM projects_snapshot
    WHERE project_id = %(project)s AND taken <= now() - make_interval(secs => %(seconds)s)
    ORDER BY taken DESC
    LIMIT 1
) UNION ALL (
    SELECT DISTINCT ON (floor(extract(epoch FROM taken) / width))
           taken, new_task_count - leased_task_count - delayed_task_count, leased_task_count, delayed_task_count,
           failed_task_count, awaiting_verification_count, closed_task_count, version
    FROM projects_snapshot CROSS JOIN part
    WHERE project_id = %(project)s AND taken > now() - make_interval(secs => %(seconds)s)
    ORDER BY floor(extract(epoch FROM taken) / width), taken DESC
)
ORDER BY taken
"""

# Two reads of the index snapshot_newest for each project.
TOTALS = """
SELECT coalesce(sum(last.new_task_count - last.leased_task_count - last.delayed_task_count), 0)::bigint,
       coalesce(sum(last.leased_task_count), 0)::bigint,
       coalesce(sum(last.delayed_task_count), 0)::bigint,
       coalesce(sum(last.failed_task_count), 0)::bigint,
       coalesce(sum(last.closed_task_count), 0)::bigint,
       sum(greatest(last.closed_task_count - before.closed_task_count, 0)
           / extract(epoch FROM last.taken - before.taken))::float
FROM unnest(%(projects)s::bigint[]) AS project (id)
CROSS JOIN LATERAL (
    SELECT * FROM projects_snapshot WHERE project_id = project.id ORDER BY taken DESC LIMIT 1
) AS last
LEFT JOIN LATERAL (
    SELECT closed_task_count, taken FROM projects_snapshot
    WHERE project_id = project.id AND taken <= last.taken - make_interval(secs => %(rate_seconds)s)
    ORDER BY taken DESC LIMIT 1
) AS before ON true
"""
