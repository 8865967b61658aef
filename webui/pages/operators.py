"""Marking workers of a project as one operator's."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from projects.models import Project
from projects.roles import Role
from tracker.api.errors import BadInput
from webui.pages.common import without_nul
from webui.pages.frame import find_with
from webui.query import id_in
from webui.templatetags.formatting import count
from workers import services
from workers.models import OperatorMark

MOST_WORKERS = 1_000
LONGEST_NAME = OperatorMark._meta.get_field("operator").max_length


@require_POST
def mark(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/workers/operator/: makes the `worker`s the `operator`'s or, with `remove`, nobody's."""
    project = find_with(request, project_id, Role.MAINTENANCE)
    ids = [one for text in request.POST.getlist("worker")[:MOST_WORKERS] if (one := id_in(text)) is not None]
    operator = without_nul(request.POST.get("operator", "")).strip()
    removes = "remove" in request.POST
    problem = _problem(ids, operator, removes=removes)
    if not problem:
        try:
            number = services.mark_operator(project=project, workers=ids, operator="" if removes else operator)
        except BadInput as error:
            problem = str(error)
        else:
            messages.success(request, _told(number, removes=removes))
    if problem:
        messages.error(request, problem)
    return HttpResponseRedirect(_back(request, project))


def _problem(ids: list[int], operator: str, *, removes: bool) -> str:
    """Why nothing can be done; empty if it can."""
    if not ids:
        return _("Nothing was changed: select workers first.")
    if removes:
        return ""
    if not operator:
        return _("Nothing was changed: say what you call the operator.")
    if len(operator) > (LONGEST_NAME or 0):
        return _("Nothing was changed: the operator's name has more than %(n)s characters.") % {"n": LONGEST_NAME}
    return ""


def _told(number: int, *, removes: bool) -> str:
    told = (
        ngettext("%(n)s worker has no operator any more.", "%(n)s workers have no operator any more.", number)
        if removes
        else ngettext("%(n)s worker was marked.", "%(n)s workers were marked.", number)
    )
    return told % {"n": count(number)}


def _back(request: HttpRequest, project: Project) -> str:
    """The list of workers as it was, or the console where the project is hidden from the manager."""
    if not Project.objects.visible_to(request.user).filter(pk=project.pk).exists():
        return f"/projects/{project.pk}/console/"
    shown = QueryDict(request.POST.get("shown", "").removeprefix("?")[:500])
    query = urlencode([(name, shown[name]) for name in ("period", "sort", "after") if name in shown])
    return f"/projects/{project.pk}/workers/{f'?{query}' if query else ''}"
