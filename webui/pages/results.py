"""The closed tasks of a project, with what their workers sent."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from projects.roles import Role
from tasks.models import ClosedTask
from tasks.queries import closed
from tasks.queries.closed import ClosedCriteria
from tracker.api.errors import InvalidField
from tracker.keyset import decode, encode
from webui.links import Named, named_workers
from webui.pages.frame import find_with, project_page
from webui.query import id_in, text_of, time_of

PER_PAGE = 50
SHOWN = 300


@require_safe
def results(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/results/: the tasks that closed last; `q`, `since` and `until` filter, `after` is the cursor."""
    project = find_with(request, project_id, Role.READ)
    filters = {name: text_of(request, name)[:200] for name in ("q", "since", "until")}
    task_id, after, status = id_in(filters["q"]), request.GET.get("after", ""), 200
    found = closed.FoundClosed([])
    try:
        criteria = ClosedCriteria(
            [project.pk],
            since=time_of(request, "since"),
            until=time_of(request, "until"),
            task=task_id,
            text=filters["q"] or None if task_id is None else None,
        )
    except InvalidField as error:
        messages.error(request, str(error))
        status = 400
    else:
        found = closed.find(criteria, after=decode(after) if after else None, limit=PER_PAGE)
    content: dict[str, Any] = {
        "rows": _rows(found.ids),
        "filters": filters,
        "is_filtered": any(filters.values()),
        "next": _query(filters | {"after": encode(found.following)}) if found.following else "",
        "first": _query(filters),
        "is_first_page": not after,
        "looked": found.looked if found.following else None,
        "kept_days": project.retention_days,
    }
    return project_page(request, project, "tasks/results.html", "results/", content, status=status)


def _query(filters: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in filters.items() if value})


def _rows(ids: list[int]) -> list[tuple[ClosedTask, Named]]:
    rows = ClosedTask.objects.filter(pk__in=ids).defer("recipe", "output", "message")
    rows = rows.annotate(
        recipe_start=Left("recipe", SHOWN), output_start=Left("output", SHOWN), message_start=Left("message", SHOWN)
    )
    by_id = {row.pk: row for row in rows}
    named = named_workers(row.worker_id for row in by_id.values())
    return [(by_id[one], named[by_id[one].worker_id]) for one in ids if one in by_id]
