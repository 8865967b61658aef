"""A project's dashboard, its numbers as JSON, and the page that helps a worker's owner to get started."""

import itertools
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from projects.access import roles_of
from projects.models import Project
from projects.queries import Point, history
from projects.roles import Role
from tasks import queries
from tasks.fingerprints import reason_of
from tasks.queries import Failure, overview, rates
from tracker import db
from tracker.text import isolated, visible
from webui.links import named_workers, task_pages
from webui.outcomes import KINDS, REASONS
from webui.pages.frame import find_visible, project_page

# The ranges of the charts in seconds, by their names in the query string; of `all`, as long as snapshots are kept.
RANGES = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400, "all": 0}

# A new project's charts are at least so wide.
SHORTEST_SECONDS = 60


class Moment(NamedTuple):
    """What the dashboard shows, all of one moment: the present state, the levels before, and what ended per time.

    The charts begin at `begin` and end at `at`, in Unix time.
    """

    begin: float
    at: float
    now: overview.Overview
    points: list[Point]
    ended: rates.Series
    holders: list[tuple[str, int]]
    failures: list[Failure]


@require_safe
def dashboard(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/: the current state of a project."""
    project = find_visible(request, project_id)
    roles, chosen = roles_of(request.user, project), _range(request)
    found = _look(project, chosen)
    content = {
        "overview": found.now,
        "speed": _speed(found.now.rates),
        "numbers": _numbers(found, chosen),
        "shows_delayed": bool(found.now.delayed) or any(point.delayed for point in found.points),
        "ranges": RANGES,
        "chosen": chosen,
        "interval": settings.SNAPSHOT_SECONDS,
        "failures": _failures(request, found.failures) if roles else None,
        "may_read": Role.READ in roles,
        "chain": Project.objects.visible_to(request.user).filter(chained_from=project).first(),
    }
    return project_page(request, project, "projects/dashboard.html", "", content)


@require_safe
def numbers(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/numbers/: the numbers that the dashboard shows, as JSON."""
    project, chosen = find_visible(request, project_id), _range(request)
    return JsonResponse(_numbers(_look(project, chosen), chosen), headers={"Cache-Control": "no-store"})


@require_safe
def start(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/start/: commands and code for a worker's owner to start with."""
    project = find_visible(request, project_id)
    content = {"address": request.build_absolute_uri("/").rstrip("/")}
    return project_page(request, project, "projects/start.html", "start/", content)


def _range(request: HttpRequest) -> str:
    chosen = request.GET.get("range", "")
    return chosen if chosen in RANGES else "day"


def _seconds(chosen: str) -> int:
    return RANGES[chosen] or settings.SNAPSHOT_KEEP_HOURS * 3600


def _look(project: Project, chosen: str) -> Moment:
    """All that is shown of the range."""
    seconds = _seconds(chosen)
    with db.one_moment():
        ((at,),) = db.rows("SELECT extract(epoch FROM now())::float")
        now = overview.overview(project)
        # Without the time before the first task.
        points = list(itertools.dropwhile(lambda point: not any(point[1:7]), history(project, seconds=seconds)))
        known = [point.taken for point in points[:1]] + ([now.rates.began] if now.rates else [])
        first = min((time.timestamp() for time in known), default=at)
        begin = max(min(first, at - SHORTEST_SECONDS), at - seconds)
        ended = rates.series(project, begin=begin, end=at)
        return Moment(begin, at, now, points, ended, queries.holders(project), queries.recent_failures(project))


def _speed(found: rates.Rates | None) -> dict[str, float | None]:
    """The tiles that tell of the last minute and hour; None as long as no lease has ended."""
    if found is None:
        return dict.fromkeys(("minute", "hour", "failed", "expired"))
    minute, hour = found.minute, found.hour
    return {"minute": minute.rate, "hour": hour.rate, "failed": round(hour.failed), "expired": round(hour.expired)}


def _numbers(found: Moment, chosen: str) -> dict[str, Any]:
    now, ended = found.now, found.ended
    # The present is the last point, so that the chart ends with what the tiles say.
    present = Point(
        datetime.fromtimestamp(found.at, UTC),
        now.ready,
        now.leased,
        now.delayed,
        now.failed,
        now.awaiting,
        now.closed,
        found.points[-1].version if found.points else "",
    )
    points = [*found.points, present]
    closed = _closed(found)
    return {
        "seconds": _seconds(chosen),
        "begin": int(found.begin),
        "end": int(found.at),
        "now": {
            "ready": now.ready,
            "leased": now.leased,
            "delayed": now.delayed,
            "failed": now.failed,
            "awaiting": now.awaiting,
            "closed": now.closed,
            "open": now.open,
            "rate": now.rate,
            "eta_seconds": now.eta_seconds,
            "oldest_seconds": now.oldest_seconds,
            "done_share": now.done_share,
        },
        "times": [int(point.taken.timestamp()) for point in points],
        "ready": [point.ready for point in points],
        "leased": [point.leased for point in points],
        "delayed": [point.delayed for point in points],
        "failed": [point.failed for point in points],
        "awaiting": [point.awaiting for point in points],
        "closed": [max(point.closed - now.closed + closed, 0) for point in points],
        "ended": ended._asdict(),
        "total": {"closed": closed, "failed": sum(ended.failed), "expired": sum(ended.expired)},
        "versions": [
            {"time": int(later.taken.timestamp()), "version": visible(later.version)}
            for earlier, later in itertools.pairwise(points)
            if later.version != earlier.version
        ],
        "assignees": [{"name": isolated(name), "count": count} for name, count in found.holders],
    }


def _closed(found: Moment) -> int:
    """How many tasks closed in the range: as many as the tallies say.

    For a range that begins before tallies were kept, the snapshots know of more.
    """
    began = found.now.rates.began if found.now.rates else None
    tallied = sum(found.ended.closed)
    if not found.points or (began and began < found.points[0].taken):
        return tallied
    return max(tallied, found.now.closed - found.points[0].closed)


def _failures(request: HttpRequest, failures: list[Failure]) -> list[dict[str, Any]]:
    pages = task_pages(request, {failure.task for failure in failures})
    workers = named_workers(failure.worker for failure in failures)
    return [
        {
            "task": failure.task,
            "page": pages.get(failure.task),
            "worker": None if failure.worker is None else workers[failure.worker],
            "ended": failure.ended,
            "reason": REASONS[reason],
            "kind": KINDS.get(reason, ""),
            "message": next((line for line in failure.message.splitlines() if line.strip()), ""),
            "version": failure.version,
        }
        for failure in failures
        for reason in [reason_of(failure.outcome, failure.reason)]
    ]
