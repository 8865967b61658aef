"""The list of workers."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks import queries
from webui.pages.common import without_nul

WORKERS_PER_PAGE = 100
# How many there are on all pages together.
MOST_WORKERS = 10_000


@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """/workers/: every worker with the number of tasks that it has closed."""
    sought = without_nul(request.GET.get("q", "")).strip()[:200]
    found = queries.worker_stats(limit=MOST_WORKERS + 1, sought=sought or None)
    is_cut = len(found) > MOST_WORKERS
    page = Paginator(found[:MOST_WORKERS], WORKERS_PER_PAGE).get_page(request.GET.get("page"))
    total = sum(one.closed_task_count for one in page.paginator.object_list)
    content = {"page": page, "sought": sought, "total": total, "most": MOST_WORKERS if is_cut else None}
    return render(request, "workers/list.html", content)
