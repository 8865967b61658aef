"""A worker's page, the workers of a project, and putting back what a worker did.

For managers, as are the log and what the API tells of workers' figures: anybody may know who works, but only managers
how well. Each sees what happened in the projects that it may see, and with READ in a project single tasks.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects.access import is_inside, roles_of
from projects.models import Project
from projects.roles import Role
from tasks import putting_back
from tasks.queries import figures
from tasks.queries.activity import Activity, activity
from tasks.queries.figures import Figures, Order, Period
from tasks.queries.held import Ended, Held, leases_of, newest_attempts
from tracker.api.errors import Forbidden, NotFound
from tracker.api.fields import INT64
from tracker.api.paging import NotInTheList
from tracker.keyset import BadCursor
from webui.links import task_pages
from webui.pages.common import require_login
from webui.pages.frame import find_visible, find_with, project_page
from webui.pages.operators import LONGEST_NAME
from webui.scope import scope_of
from webui.standing import standing
from webui.templatetags.formatting import count
from workers import services
from workers.models import Worker
from workers.queries import operators_in, operators_of

WORKERS_PER_PAGE = 100
# How many projects, leases and attempts a worker's page lists.
PROJECTS, LEASES, ATTEMPTS = 100, 100, 50


class Choice(NamedTuple):
    """A link that chooses a period or what a list is sorted by."""

    query: str
    label: str
    is_current: bool


class Row(NamedTuple):
    """A worker's figures; `worker` is None if it was deleted, `project` where all are of one project."""

    figures: Figures
    worker: Worker | None = None
    project: Project | None = None
    may_put_back: bool = False
    operator: str = ""


@require_safe
def worker(request: HttpRequest, worker_id: int) -> HttpResponse:
    """/workers/7/: the worker's figures, its leases and its newest attempts."""
    viewer, found = require_login(request), _find(worker_id)
    visible = list(Project.objects.visible_to(viewer).values_list("pk", flat=True))
    period, scope = _period(request), scope_of(request)
    done = figures.of_worker(found.pk, visible, period)
    # As the pages of the tasks themselves.
    readable = list(Project.objects.with_role(viewer, Role.READ).order_by().values_list("pk", flat=True))
    leases = leases_of(found.pk, readable, limit=LEASES)
    attempts = newest_attempts(found.pk, readable, limit=ATTEMPTS)
    pages = task_pages(request, {one.task for part in (leases, attempts) for one in part})
    shown = {one.project for part in (done[:PROJECTS], leases, attempts) for one in part}
    projects = Project.objects.only("pk", "name").in_bulk(shown)
    # What a manager calls an operator is for those with a role.
    inside = [one for one in projects if scope.everywhere or one in scope.roles]
    operators = operators_of(found.pk, inside)
    rows = [
        Row(
            one,
            project=projects[one.project],
            may_put_back=scope.allows(one.project, Role.MAINTENANCE),
            operator=operators.get(one.project, ""),
        )
        for one in done[:PROJECTS]
        if one.project in projects
    ]
    recent = activity([found.pk], visible).get(found.pk, Activity())
    content = {
        "worker": found,
        "activity": recent,
        "marks": standing(recent, paused=found.paused),
        "rows": rows,
        "project_count": len(done),
        "periods": _periods(period, {}),
        "leases": _placed(leases, projects, pages),
        "attempts": _placed(attempts, projects, pages),
        "may_pause": viewer.is_tracker_admin,
    }
    return render(request, "workers/detail.html", content)


@require_safe
def project_workers(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/workers/: the figures of each worker of the project."""
    project = find_visible(request, project_id)
    require_login(request)
    period, order = _period(request), _order(request)
    after = _after(request)
    try:
        found, more = figures.of_project(project.pk, period, order=order, after=after, limit=WORKERS_PER_PAGE)
    except NotInTheList as error:
        raise BadCursor from error
    workers = Worker.objects.in_bulk([one.worker for one in found])
    roles = roles_of(request.user, project)
    operators = operators_in(project.pk, workers) if is_inside(roles, project) else {}
    chosen = {"period": period.value, "sort": order.value}
    content = {
        "rows": [Row(one, worker=workers.get(one.worker), operator=operators.get(one.worker, "")) for one in found],
        "operators": sorted(set(operators.values())),
        "longest_name": LONGEST_NAME,
        "shown": _query(chosen | ({} if after is None else {"after": str(after)})),
        "periods": _periods(period, {"sort": order.value}),
        "orders": {one.value: Choice(_query(chosen | {"sort": one.value}), "", one == order) for one in Order},
        "first": _query(chosen) if after is not None else "",
        "following": _query(chosen | {"after": str(found[-1].worker)}) if more else "",
    }
    return project_page(request, project, "projects/workers.html", "workers/", content)


@require_POST
def pause(request: HttpRequest, worker_id: int, *, paused: bool) -> HttpResponse:
    """/workers/7/pause/ and resume/: for tracker admins, since it concerns all projects."""
    manager = require_login(request)
    if not manager.is_tracker_admin:
        raise Forbidden(_("Only a tracker admin may do this."))
    found = _find(worker_id)
    services.set_paused(worker_id=found.pk, paused=paused)
    told = (
        _("The worker is paused: from its next call on, it gets no work.")
        if paused
        else _("The worker gets work again.")
    )
    messages.success(request, told)
    return HttpResponseRedirect(f"/workers/{found.pk}/")


@require_http_methods(["GET", "HEAD", "POST"])
def put_back(request: HttpRequest, worker_id: int, project_id: int) -> HttpResponse:
    """/workers/7/put-back/3/: GET tells what would be put back, POST does it."""
    project = find_with(request, project_id, Role.MAINTENANCE)
    found = _find(worker_id)
    if request.method == "POST":
        messages.success(request, _put_back(request.POST.get("what", ""), project, found.pk))
        return HttpResponseRedirect(f"/workers/{found.pk}/put-back/{project.pk}/")
    preview = putting_back.preview(project=project, worker=found.pk)
    return render(request, "workers/put_back.html", {"project": project, "worker": found, "preview": preview})


def _placed(found: Sequence[Held | Ended], projects: dict[int, Project], pages: dict[int, str]) -> list[Any]:
    """Each with its project and the address of its task's page, if there is one."""
    return [(one, projects[one.project], pages.get(one.task)) for one in found if one.project in projects]


def _put_back(what: str, project: Project, worker_id: int) -> str:
    if what == "votes":
        affected = putting_back.put_back_votes(project=project, worker=worker_id)
        told = ngettext("A vote was taken off %(n)s task.", "A vote was taken off %(n)s tasks.", affected)
        return told % {"n": count(affected)}
    if what != "closed":
        return _("Nothing was changed.")
    done = putting_back.put_back_closed(project=project, worker=worker_id)
    told = ngettext("%(n)s task is open again.", "%(n)s tasks are open again.", done.tasks) % {"n": count(done.tasks)}
    if done.taken:
        left = ngettext(
            "%(n)s stays closed, since its hash was submitted again.",
            "%(n)s stay closed, since their hashes were submitted again.",
            done.taken,
        )
        told = f"{told} {left % {'n': count(done.taken)}}"
    return told


def _find(worker_id: int) -> Worker:
    """The worker. Raises NotFound."""
    found = Worker.objects.defer("secret_digest").filter(pk=worker_id).first()
    if found is None:
        raise NotFound(_("There is no worker %(id)s.") % {"id": worker_id})
    return found


def _period(request: HttpRequest) -> Period:
    text = request.GET.get("period", "")
    return Period(text) if text in list(Period) else Period.DAY


def _order(request: HttpRequest) -> Order:
    text = request.GET.get("sort", "")
    return Order(text) if text in list(Order) else Order.CLOSED


def _after(request: HttpRequest) -> int | None:
    """The worker behind which the page begins; None for the first page. Raises BadCursor."""
    text = request.GET.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= INT64[1]):
        raise BadCursor
    return int(text)


def _periods(current: Period, kept: dict[str, str]) -> list[Choice]:
    labels = {Period.TODAY: _("Today"), Period.DAY: _("24 hours"), Period.ALL: _("All time")}
    return [Choice(_query({"period": one.value} | kept), label, one == current) for one, label in labels.items()]


def _query(values: dict[str, Any]) -> str:
    return f"?{urlencode(values)}"
