"""The page of the workers' log entries."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from logs import queries
from logs.models import Level
from tracker.api.fields import INT64
from tracker.keyset import BadCursor
from webui.pages.common import require_login

ENTRIES_PER_PAGE = 100
BYTES_PER_PAGE = 2 * 1024 * 1024


@require_safe
def logs(request: HttpRequest) -> HttpResponse:
    """/logs/: newest first, for managers or, with LOGS_PUBLIC, for everybody."""
    if not settings.LOGS_PUBLIC:
        require_login(request)
    level = Level(_number(request, "level", Level.FATAL, Level.TRACE) or Level.TRACE)
    before = _before(request)
    worker_id = _number(request, "worker")
    entries, before_id = queries.newest(
        level=level, since=0, limit=ENTRIES_PER_PAGE, worker_id=worker_id, most_bytes=BYTES_PER_PAGE, **before
    )
    older = ""
    if before_id is not None:
        last = {"level": level.value, "before": entries[-1].timestamp if entries else 1, "before_id": before_id}
        older = "?" + urlencode(last | ({"worker": worker_id} if worker_id else {}))
    content = {
        "entries": entries,
        "levels": [one for one in Level if one.is_kept],
        "level": level,
        "worker_id": worker_id,
        "older": older,
        "is_first_page": not before,
        "kept_days": settings.LOG_KEEP_DAYS,
    }
    return render(request, "logs/list.html", content)


def _before(request: HttpRequest) -> dict[str, int]:
    """The cursor in the query string; empty for the first page. Raises BadCursor."""
    if not request.GET.keys() & {"before", "before_id"}:
        return {}
    timestamp, entry_id = _number(request, "before"), _number(request, "before_id")
    if timestamp is None or entry_id is None:
        raise BadCursor
    return {"before_timestamp": timestamp, "before_id": entry_id}


def _number(request: HttpRequest, name: str, low: int = 1, high: int = INT64[1]) -> int | None:
    """A whole number from the query string; None if it is missing, malformed or out of range."""
    text = request.GET.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return number if number is not None and low <= number <= high else None
