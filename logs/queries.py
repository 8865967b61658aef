"""Questions about the log."""

from django.db.models import Q

from logs.models import Level, LogEntry


def newest(
    *,
    level: Level,
    since: int,
    limit: int,
    before_timestamp: int | None = None,
    before_id: int | None = None,
    worker_id: int | None = None,
) -> list[LogEntry]:
    """Entries of this level or graver, from `since` (Unix seconds) on, newest first.

    With both `before_…`, which are the timestamp and id of an entry, only what comes after it in this order; with
    `worker_id`, only that worker's.
    """
    entries = LogEntry.objects.filter(level__lte=level, timestamp__gte=since)
    if before_timestamp is not None and before_id is not None:
        # The first condition follows from the second; it lets the index be entered at the right place.
        entries = entries.filter(timestamp__lte=before_timestamp).filter(
            Q(timestamp__lt=before_timestamp) | Q(timestamp=before_timestamp, id__lt=before_id)
        )
    if worker_id is not None:
        entries = entries.filter(worker=worker_id)
    return list(entries.select_related("worker").order_by("-timestamp", "-id")[:limit])
