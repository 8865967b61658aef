"""The list of workers."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks import queries
from tracker.names import normalized
from webui.pages.common import without_nul

WORKERS_PER_PAGE = 100


@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """/workers/: every worker with the number of tasks that it has closed."""
    sought = without_nul(request.GET.get("q", "")).strip()[:200]
    words = normalized(sought).casefold()
    found = [one for one in queries.worker_stats() if words in normalized(one.alias).casefold()]
    page = Paginator(found, WORKERS_PER_PAGE).get_page(request.GET.get("page"))
    content = {"page": page, "sought": sought, "total": sum(one.closed_task_count for one in found)}
    return render(request, "workers/list.html", content)
