"""The list of workers."""

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from projects.models import Project
from tasks import queries
from tasks.queries.activity import activity
from tracker.names import key_of
from webui.pages.common import choice, sought_in
from webui.standing import standing

WORKERS_PER_PAGE = 100
# How many there are on all pages together.
MOST_WORKERS = 10_000
# Up to which number the leases of each are counted.
COUNTED = 1_000

# What the list can be limited to and sorted by, by the words in the query string.
STATES: dict[str, bool | None] = {"": None, "active": False, "paused": True}
ORDERS: dict[str, Callable[[queries.WorkerStats], Any] | None] = {
    # As the query sorts them.
    "closed": None,
    "alias": lambda one: (key_of(one.alias), one.id),
    "newest": lambda one: -one.id,
}


@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """/workers/: every worker with the number of tasks that it has closed, and when it was last seen.

    Of its leases and closed tasks, only those in projects that the visitor may see tell that.
    """
    sought = sought_in(request)
    state, paused = choice(request, "state", STATES)
    sort, order = choice(request, "sort", ORDERS)
    found = queries.worker_stats(limit=MOST_WORKERS + 1, sought=sought or None)
    is_cut = len(found) > MOST_WORKERS
    listed = [one for one in found[:MOST_WORKERS] if paused is None or one.paused == paused]
    if order is not None:
        listed.sort(key=order)
    page = Paginator(listed, WORKERS_PER_PAGE).get_page(request.GET.get("page"))
    projects = list(Project.objects.visible_to(request.user).order_by().values_list("pk", flat=True))
    doing = activity([one.id for one in page], projects, leases=COUNTED)
    content = {
        "page": page,
        "rows": [(one, doing[one.id], standing(doing[one.id], paused=one.paused, counted=COUNTED)) for one in page],
        "sought": sought,
        "state": state,
        "sort": sort,
        "is_filtered": bool(sought or state),
        "by_closed": order is None,
        "total": sum(one.closed_task_count for one in listed),
        "most": MOST_WORKERS if is_cut else None,
    }
    return render(request, "workers/list.html", content)
