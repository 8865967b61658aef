"""The pages that show tasks: the list of projects, a project's dashboard and console, and the workers."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from projects import history as histories
from projects.frame import find_visible, find_with, home_of, project_page
from projects.models import Project
from projects.roles import Role, roles_of
from tasks import maintenance, overview, queries
from tasks.forms import FileForm, TaskForm
from tracker.api.errors import ApiError
from tracker.pages import blame, without_nul

PROJECTS_PER_PAGE = 50
WORKERS_PER_PAGE = 100


@require_safe
def project_list(request: HttpRequest) -> HttpResponse:
    """/projects/: what the visitor may see, with how it stands."""
    sought = without_nul(request.GET.get("q", "")).strip()[:200]
    projects = Project.objects.visible_to(request.user)
    if sought:
        projects = projects.filter(name__icontains=sought)
    page = Paginator(projects.order_by("-priority", "name"), PROJECTS_PER_PAGE).get_page(request.GET.get("page"))
    found = list(page.object_list)
    standing, lines = overview.overviews(found), overview.sparklines(found)
    rows = [(project, standing[project.pk], lines.get(project.pk)) for project in found]
    return render(request, "tasks/projects.html", {"rows": rows, "page": page, "sought": sought})


@require_safe
def dashboard(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/: how one project stands."""
    project = find_visible(request, project_id)
    chosen = request.GET.get("range")
    content = {
        "overview": overview.overview(project),
        "ranges": histories.RANGES,
        "chosen": chosen if chosen in histories.RANGES else "day",
        "failures": queries.recent_failures(project) if roles_of(request.user, project) else None,
        "chain": Project.objects.visible_to(request.user).filter(chained_from=project).first(),
    }
    return project_page(request, project, "tasks/dashboard.html", "", content)


@require_safe
def numbers(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/numbers/: what the dashboard's charts draw."""
    project = find_visible(request, project_id)
    seconds = histories.RANGES.get(request.GET.get("range", ""), histories.RANGES["day"])
    now = overview.overview(project)
    points = histories.history(project, seconds=seconds)
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
            {"time": int(later.taken.timestamp()), "version": later.version}
            for earlier, later in itertools.pairwise(points)
            if later.version != earlier.version
        ],
        "assignees": [{"name": name, "count": count} for name, count in queries.holders(project)],
    }
    return JsonResponse(content, headers={"Cache-Control": "no-store"})


class Chore(NamedTuple):
    """Something done to all tasks of a project, after a page that says to how many. `counts` is what they are."""

    counts: str
    run: Callable[..., int]
    title: Promise
    explanation: Promise
    is_grave: bool = False


RESET_FAILED = Chore(
    "failed",
    maintenance.reset_failed,
    _("Reset failed tasks"),
    _("Every failed task goes back to the queue, with no retries counted."),
)
RECLAIM = Chore(
    "leased",
    maintenance.reclaim_leased,
    _("Take leases back"),
    _("Every leased task goes back to the queue; what its worker reports later is not counted."),
)
HARD_RESET = Chore(
    "all",
    maintenance.delete_all,
    _("Delete all tasks"),
    _("Every task that is not closed is deleted, whatever its state. This can't be undone."),
    is_grave=True,
)


@require_http_methods(["GET", "HEAD", "POST"])
def maintain(request: HttpRequest, project_id: int, *, chore: Chore) -> HttpResponse:
    """/projects/7/reset-failed/, reclaim/ and hard-reset/: asks, saying how many, and does it."""
    project = find_with(request, project_id, Role.MAINTENANCE)
    if request.method == "POST":
        affected = chore.run(project=project)
        told = ngettext("%(n)s task was changed.", "%(n)s tasks were changed.", affected)
        messages.success(request, told % {"n": affected})
        return HttpResponseRedirect(home_of(request, project, "console/"))
    now = overview.overview(project)
    count = now.open + now.failed if chore.counts == "all" else getattr(now, chore.counts)
    content = {"chore": chore, "affected": count, "approximate": now.approximate}
    return project_page(request, project, "tasks/maintain.html", "", content)


@require_http_methods(["GET", "HEAD", "POST"])
def console(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/console/: submits a task, or a file of them. Rate limits are for workers and don't count."""
    project = find_with(request, project_id, Role.MAINTENANCE)
    task_form, file_form = TaskForm(), FileForm()
    if request.method == "POST":
        form: TaskForm | FileForm
        if "kind" in request.POST:
            form = file_form = FileForm(request.POST, request.FILES)
        else:
            form = task_form = TaskForm(request.POST)
        if form.is_valid():
            try:
                created, duplicates = form.submit(project)
            except ApiError as error:
                blame(form, error)
            else:
                messages.success(request, _submitted(created, duplicates))
                return HttpResponseRedirect(f"/projects/{project.pk}/console/")
    content = {"task_form": task_form, "file_form": file_form}
    status = 400 if task_form.errors or file_form.errors else 200
    return project_page(request, project, "tasks/console.html", "console/", content, status=status)


def _submitted(created: int, duplicates: int) -> str:
    told = ngettext("%(n)s task was submitted.", "%(n)s tasks were submitted.", created) % {"n": created}
    there = ngettext("%(n)s was there already.", "%(n)s were there already.", duplicates) % {"n": duplicates}
    return f"{told} {there}" if duplicates else told


@require_safe
def start(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/start/: what a worker's owner pastes to begin."""
    project = find_visible(request, project_id)
    content = {"address": request.build_absolute_uri("/").rstrip("/")}
    return project_page(request, project, "tasks/start.html", "start/", content)


@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """/workers/: who has closed how many tasks."""
    sought = without_nul(request.GET.get("q", "")).strip()[:200]
    found = [one for one in queries.worker_stats() if sought.casefold() in one.alias.casefold()]
    page = Paginator(found, WORKERS_PER_PAGE).get_page(request.GET.get("page"))
    content = {"page": page, "sought": sought, "total": sum(one.closed_task_count for one in found)}
    return render(request, "tasks/workers.html", content)
