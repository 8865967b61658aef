"""A project's dashboard, the data for its charts, and the page that helps a worker's owner to get started."""

import itertools
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from projects.access import roles_of
from projects.models import Project
from projects.queries import history
from tasks import queries
from tasks.queries import overview
from tracker.text import isolated, visible
from webui.pages.frame import find_visible, project_page

# The ranges of the chart in seconds, by their names in the query string.
RANGES = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400, "all": 400 * 3_600}


@require_safe
def dashboard(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/: the current state of a project."""
    project = find_visible(request, project_id)
    chosen = request.GET.get("range")
    content = {
        "overview": overview.overview(project),
        "ranges": RANGES,
        "chosen": chosen if chosen in RANGES else "day",
        "failures": queries.recent_failures(project) if roles_of(request.user, project) else None,
        "chain": Project.objects.visible_to(request.user).filter(chained_from=project).first(),
    }
    return project_page(request, project, "projects/dashboard.html", "", content)


@require_safe
def numbers(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/numbers/: the data for the dashboard's charts, as JSON."""
    project = find_visible(request, project_id)
    seconds = RANGES.get(request.GET.get("range", ""), RANGES["day"])
    now = overview.overview(project)
    points = history(project, seconds=seconds)
    first = points[0].closed if points else now.closed
    content: dict[str, Any] = {
        "seconds": seconds,
        "now": now._asdict() | {"open": now.open, "eta_seconds": now.eta_seconds},
        "times": [int(point.taken.timestamp()) for point in points],
        "ready": [point.ready for point in points],
        "leased": [point.leased for point in points],
        "failed": [point.failed for point in points],
        "awaiting": [point.awaiting for point in points],
        "closed": [max(point.closed - first, 0) for point in points],
        "versions": [
            {"time": int(later.taken.timestamp()), "version": visible(later.version)}
            for earlier, later in itertools.pairwise(points)
            if later.version != earlier.version
        ],
        "assignees": [{"name": isolated(name), "count": count} for name, count in queries.holders(project)],
    }
    return JsonResponse(content, headers={"Cache-Control": "no-store"})


@require_safe
def start(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/start/: commands and code for a worker's owner to start with."""
    project = find_visible(request, project_id)
    content = {"address": request.build_absolute_uri("/").rstrip("/")}
    return project_page(request, project, "projects/start.html", "start/", content)
