"""The page of the workers' log entries."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from logs import queries
from logs.models import Level, LogEntry
from logs.queries import FoundEntries, LogCriteria
from tracker.api.errors import InvalidField
from tracker.api.fields import INT64
from tracker.keyset import decode, encode
from tracker.text import isolated
from webui.links import task_pages, worker_page
from webui.pages.common import require_login
from webui.query import number_of, text_of, workers_called

ENTRIES_PER_PAGE = 100
BYTES_PER_PAGE = 2 * 1024 * 1024
LONGEST_TEXT = 200


class Filters(NamedTuple):
    """What the address asks for, as typed. All are empty for every entry."""

    level: str = ""
    worker: str = ""
    task: str = ""
    q: str = ""

    def query(self, **others: str) -> str:
        """The query string of a page with these filters."""
        return "?" + urlencode({name: value for name, value in (self._asdict() | others).items() if value})


@require_safe
def logs(request: HttpRequest) -> HttpResponse:
    """/logs/: the last received first, for managers or, with LOGS_PUBLIC, for everybody.

    `level`, `worker` (id or alias), `task` and `q` (text in the message or the scope) filter, `after` is the cursor.
    """
    if not settings.LOGS_PUBLIC:
        require_login(request)
    filters = Filters(*(text_of(request, name)[:LONGEST_TEXT] for name in Filters._fields))
    after = request.GET.get("after", "")
    try:
        criteria = _criteria(request, filters)
    except InvalidField as error:
        messages.error(request, str(error))
        return render(request, "logs/list.html", _content(request, filters, FoundEntries([])), status=400)
    found = queries.find(
        criteria,
        after=decode(after) if after else None,
        limit=ENTRIES_PER_PAGE,
        most_bytes=BYTES_PER_PAGE,
    )
    return render(request, "logs/list.html", _content(request, filters, found, is_first_page=not after))


def _criteria(request: HttpRequest, filters: Filters) -> LogCriteria:
    """The search for these filters. Raises InvalidField."""
    workers = workers_called(filters.worker)
    if workers == []:
        raise InvalidField("worker", _("there is no worker called “%(name)s”.") % {"name": isolated(filters.worker)})
    return LogCriteria(
        level=number_of(request, "level", low=Level.FATAL, high=Level.TRACE),
        workers=workers,
        task=number_of(request, "task", low=1, high=INT64[1]),
        text=filters.q or None,
    )


def _content(
    request: HttpRequest, filters: Filters, found: FoundEntries, *, is_first_page: bool = True
) -> dict[str, Any]:
    entries = queries.entries(found)
    pages = task_pages(request, {entry.task_id for entry in entries if entry.task_id is not None})
    return {
        "rows": [
            (entry, _worker_address(request, filters, entry), _task_address(filters, pages, entry)) for entry in entries
        ],
        "levels": [one for one in Level if one.is_kept or str(one.value) == filters.level],
        "filters": filters,
        "is_filtered": any(filters),
        "older": filters.query(after=encode(found.following)) if found.following else "",
        "newest": filters.query(),
        "looked": found.looked if found.following else None,
        "down_to": found.following[0] if found.following else None,
        "is_first_page": is_first_page,
        "kept_days": settings.LOG_KEEP_DAYS,
    }


def _worker_address(request: HttpRequest, filters: Filters, entry: LogEntry) -> str:
    """The worker's page or, for visitors, who may not see it, its entries."""
    page = worker_page(entry.worker_id) if request.user.is_authenticated else None
    return page or filters._replace(worker=str(entry.worker_id)).query()


def _task_address(filters: Filters, pages: dict[int, str], entry: LogEntry) -> str:
    """The task's page or, if there is none that the visitor may see, the entries about the task."""
    return pages.get(entry.task_id or 0) or filters._replace(task=str(entry.task_id)).query()
