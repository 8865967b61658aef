"""The tasks of a project: by state, with a search, and operations on many of them."""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from projects.access import roles_of
from projects.models import Project
from projects.roles import Role
from tasks.fingerprints import fingerprint_in
from tasks.models import Task
from tasks.queries import search
from tasks.queries.search import Criteria, State
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import INT16, INT32
from tracker.keyset import decode, encode
from webui.links import named_workers
from webui.pages.frame import find_with, project_page
from webui.pages.task_changes import CHANGES, PriorityForm
from webui.query import id_in, number_of, sought_tasks, text_of, workers_called
from webui.templatetags.formatting import count

PER_PAGE = 100
LONGEST_TEXT = 200
# How much of a recipe is shown, in characters.
SHOWN = 300


class Filters(NamedTuple):
    """What the address asks for, as typed. All are empty for every open task."""

    state: str = ""
    q: str = ""
    priority: str = ""
    worker: str = ""
    retries: str = ""
    failure: str = ""

    def query(self, **others: str) -> str:
        """The query string of a page with these filters."""
        return "?" + urlencode({name: value for name, value in (self._asdict() | others).items() if value})

    def criteria(self, request: HttpRequest, project: Project) -> Criteria:
        """The search for these filters, which `request.GET` has. Raises InvalidField."""
        if self.state and self.state not in State.values:
            raise InvalidField("state", _("is not one of the choices."))
        ids, hash64, text = sought_tasks(self.q)
        return Criteria(
            projects=[project.pk],
            states=(State(self.state),) if self.state else (),
            ids=ids,
            hash64=hash64,
            priority=number_of(request, "priority", low=INT16[0], high=INT16[1]),
            workers=workers_called(self.worker),
            retries=number_of(request, "retries", low=0, high=INT32[1]),
            text=text,
            failure=self._fingerprint(),
        )

    def _fingerprint(self) -> int | None:
        fingerprint = fingerprint_in(self.failure)
        if self.failure and fingerprint is None:
            raise InvalidField("failure", _("must be a fingerprint, 16 hexadecimal digits in lower case."))
        return fingerprint


@require_safe
def task_list(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/tasks/: the open tasks. `state`, `q` and others filter, `after` is the cursor."""
    project = find_with(request, project_id, Role.READ)
    filters = _filters(request)
    after = request.GET.get("after", "")
    try:
        criteria = filters.criteria(request, project)
    except InvalidField as error:
        messages.error(request, str(error))
        content = _content(request, project, filters, search.Found([], None, None))
        return project_page(request, project, "tasks/list.html", "tasks/", content, status=400)
    found = search.find(criteria, after=decode(after) if after else None, limit=PER_PAGE)
    content = _content(request, project, filters, found, is_first_page=not after)
    return project_page(request, project, "tasks/list.html", "tasks/", content)


def _filters(request: HttpRequest) -> Filters:
    return Filters(*(text_of(request, name)[:LONGEST_TEXT] for name in Filters._fields))


def _content(
    request: HttpRequest, project: Project, filters: Filters, found: search.Found, *, is_first_page: bool = True
) -> dict[str, Any]:
    columns = (
        "id",
        "priority",
        "status",
        "retries",
        "max_retries",
        "created",
        "voters",
        "votes",
        "lease_expires",
        "run_at",
    )
    rows = Task.objects.filter(pk__in=found.ids).only(*columns, "assignee_id")
    by_id = {row.pk: row for row in rows.annotate(recipe_start=Left("recipe", SHOWN))}
    shown = [by_id[one] for one in found.ids if one in by_id]
    named = named_workers(row.assignee_id for row in shown)
    return {
        "rows": [(row, state_of(row), named.get(row.assignee_id or 0)) for row in shown],
        "states": [(state.value, state.label, filters._replace(state=state.value).query()) for state in State],
        "every": filters._replace(state="").query(),
        "filters": filters,
        "is_filtered": any(filters),
        "next": filters.query(after=encode(found.following)) if found.following else "",
        "first": filters.query(),
        "is_first_page": is_first_page,
        "looked": found.looked if found.following else None,
        "changes": CHANGES if Role.MAINTENANCE in roles_of(request.user, project) else {},
    }


def state_of(task: Task, now: datetime | None = None) -> str:
    """The state of an open task, as pages name it: that of State, or `expired`."""
    if task.status == Task.Status.FAILED:
        return "failed"
    if task.status == Task.Status.DELAYED:
        return "delayed"
    if task.lease_expires is not None:
        return "expired" if task.lease_expires <= (now or timezone.now()) else "leased"
    return "awaiting" if any(vote is not None for vote in task.votes) else "ready"


@require_POST
def change(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/tasks/change/: asks for confirmation; with `confirmed`, changes the tasks.

    `do` names one of CHANGES. The tasks are those of the `task` fields or, with `all`, every one that `filters`, the
    query string of the list, finds.
    """
    project = find_with(request, project_id, Role.MAINTENANCE)
    chosen = CHANGES.get(request.POST.get("do", ""))
    if chosen is None:
        raise BadInput(f"do: must be one of {', '.join(CHANGES)}.")
    request.GET = QueryDict(request.POST.get("filters", "").removeprefix("?")[:2_000])
    filters = _filters(request)
    back = f"/projects/{project.pk}/tasks/{filters.query()}"
    ids = [one for text in request.POST.getlist("task")[:10_000] if (one := id_in(text)) is not None]
    every = "all" in request.POST
    if not (ids or every):
        messages.error(request, _("Nothing was changed: select tasks first."))
        return HttpResponseRedirect(back)
    criteria = filters.criteria(request, project) if every else Criteria([project.pk], ids=ids)
    if chosen.only is not None and chosen.only not in criteria.states:
        criteria = criteria._replace(states=(*criteria.states, chosen.only))
    is_confirmed = "confirmed" in request.POST
    form = PriorityForm(request.POST if is_confirmed and chosen.has_priority else None)
    if is_confirmed and (not chosen.has_priority or form.is_valid()):
        number = chosen.run(criteria, form)
        told = ngettext("%(n)s task was changed.", "%(n)s tasks were changed.", number)
        messages.success(request, told % {"n": count(number)})
        return HttpResponseRedirect(back)
    counted = search.count(criteria)
    content = {
        "change": chosen,
        "do": request.POST["do"],
        "affected": counted.total,
        "complete": counted.complete,
        "every": every,
        "ids": ids,
        "filters": filters.query(),
        "form": form if chosen.has_priority else None,
        "back": back,
    }
    return project_page(request, project, "tasks/change.html", "tasks/", content)
