"""Pages to submit tasks, and to run an operation on all tasks of a project."""

from collections.abc import Callable
from typing import NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from projects.roles import Role
from tasks import maintenance
from tasks.queries import overview
from tracker.api.errors import ApiError
from webui.pages.common import blame
from webui.pages.forms.tasks import FileForm, TaskForm
from webui.pages.frame import find_with, home_of, project_page


class Chore(NamedTuple):
    """An operation on all tasks of a project, with a confirmation page that shows their number.

    `counts` says which tasks: "all", or a state that Overview counts.
    """

    counts: str
    run: Callable[..., int]
    title: Promise
    explanation: Promise
    is_grave: bool = False


RESET_FAILED = Chore(
    "failed",
    maintenance.reset_failed,
    _("Reset failed tasks"),
    _(
        "Every failed task goes back to the queue, with its retries reset to 0. Where workers disagreed, their votes "
        "are dropped."
    ),
)
RECLAIM = Chore(
    "leased",
    maintenance.reclaim_leased,
    _("Reclaim leases"),
    _("Every leased task goes back to the queue; what its worker reports later is ignored."),
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
    """/projects/7/reset-failed/, reclaim/ and hard-reset/: GET asks for confirmation, POST runs the operation."""
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
    """/projects/7/console/: submits a task or a file of tasks. Rate limits apply only to workers, not here."""
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
