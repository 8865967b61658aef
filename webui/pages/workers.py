"""The list of workers."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from projects.models import Project
from tasks import queries
from tasks.queries.activity import activity
from webui.pages.common import without_nul
from webui.standing import standing

WORKERS_PER_PAGE = 100
# How many there are on all pages together.
MOST_WORKERS = 10_000
# Up to which number the leases of each are counted.
COUNTED = 1_000


@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """/workers/: every worker with the number of tasks that it has closed, and when it was last seen.

    Of its leases and closed tasks, only those in projects that the visitor may see tell that.
    """
    sought = without_nul(request.GET.get("q", "")).strip()[:200]
    found = queries.worker_stats(limit=MOST_WORKERS + 1, sought=sought or None)
    is_cut = len(found) > MOST_WORKERS
    page = Paginator(found[:MOST_WORKERS], WORKERS_PER_PAGE).get_page(request.GET.get("page"))
    total = sum(one.closed_task_count for one in page.paginator.object_list)
    projects = list(Project.objects.visible_to(request.user).order_by().values_list("pk", flat=True))
    doing = activity([one.id for one in page], projects, leases=COUNTED)
    rows = [(one, doing[one.id], standing(doing[one.id], paused=one.paused, counted=COUNTED)) for one in page]
    content = {"page": page, "rows": rows, "sought": sought, "total": total, "most": MOST_WORKERS if is_cut else None}
    return render(request, "workers/list.html", content)
