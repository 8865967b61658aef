"""Deciding on many of a project's access requests at once."""

from typing import Any

from django.contrib import messages
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from projects.models import Project
from projects.roles import Role
from tracker.api.errors import BadInput
from webui.access_requests import decide_each
from webui.pages.common import without_nul
from webui.pages.frame import find_with, project_page
from webui.query import id_in
from webui.templatetags.formatting import count
from workers import services
from workers.models import WorkerAccess
from workers.queries import GRANTED, PENDING

# Maximum number of requests in a list on a page.
LISTED = 100


def sought_in(text: str) -> str:
    """The text that requests are searched for, as it was typed."""
    return without_nul(text).strip()[:200]


def waiting(project: Project, sought: str) -> "QuerySet[WorkerAccess]":
    """The project's pending requests, the oldest first, of workers whose alias contains the text or whose id it is."""
    requests = WorkerAccess.objects.filter(PENDING, project=project).select_related("worker", "project")
    if sought:
        requests = requests.filter(Q(worker__alias__icontains=sought) | Q(worker=id_in(sought) or 0))
    return requests.order_by("asked", "pk")


@require_POST
def decide_many(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/permissions/decide/: asks for confirmation; with `confirmed`, approves or rejects the requests.

    `do` is accept or reject. The requests are those of the `worker`s or, with `all`, every one that `q` finds; of
    these, those that had been made by the time that the confirmation was asked for (`until`).
    """
    project = find_with(request, project_id, Role.MANAGE_ACCESS)
    accept = {"accept": True, "reject": False}.get(request.POST.get("do", ""))
    if accept is None:
        raise BadInput("do: must be accept or reject.")
    sought = sought_in(request.POST.get("q", ""))
    back = f"/projects/{project.pk}/permissions/" + (f"?{urlencode({'q': sought})}" if sought else "")
    workers = [worker for text in request.POST.getlist("worker") if (worker := id_in(text)) is not None]
    every = "all" in request.POST
    if not (workers or every):
        messages.error(request, _("Nothing was changed: select requests first."))
        return HttpResponseRedirect(back)
    requests = waiting(project, sought) if every else waiting(project, "").filter(worker__in=workers)
    if "confirmed" in request.POST:
        messages.success(request, _decide(_made_until(requests, request.POST.get("until", "")), accept=accept))
        return HttpResponseRedirect(back)
    until = requests.aggregate(until=Max("asked"))["until"]
    content = _numbers(requests, accept=accept) | {
        "requests": requests[:LISTED],
        "accept": accept,
        "every": every,
        "workers": workers,
        "sought": sought,
        "until": until.isoformat() if until else "",
        "back": back,
    }
    return project_page(request, project, "projects/decide.html", "permissions/", content)


def _numbers(requests: "QuerySet[WorkerAccess]", *, accept: bool) -> dict[str, Any]:
    """How many requests there are, and what would become of how many."""
    number = requests.count()
    return {
        "number": number,
        "submits": requests.filter(wants_submit=True).count(),
        "losing": 0 if accept else requests.filter(GRANTED).count(),
        "unlisted": max(number - LISTED, 0),
    }


def _made_until(requests: "QuerySet[WorkerAccess]", until: str) -> "QuerySet[WorkerAccess]":
    """Without the requests that were made or extended later: nobody has seen them. Raises BadInput."""
    try:
        moment = parse_datetime(until) if until else None
    except ValueError:
        moment = None
    if until and (moment is None or moment.tzinfo is None):
        raise BadInput("until: must be a time, as the page sent it.")
    return requests.filter(Q(asked=None) | Q(asked__lte=moment)) if moment else requests.filter(asked=None)


def _decide(requests: "QuerySet[WorkerAccess]", *, accept: bool) -> str:
    """Decide on the requests; what to tell about it."""
    if accept:
        number = decide_each(requests, services.accept_request)
        text = ngettext("%(number)s request was approved.", "%(number)s requests were approved.", number)
    else:
        number = decide_each(requests, services.reject_request)
        text = ngettext("%(number)s request was rejected.", "%(number)s requests were rejected.", number)
    return text % {"number": count(number)}
