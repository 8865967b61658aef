"""The workers' log entries in the admin. Read-only."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from logs import queries
from logs.models import Level, LogEntry
from logs.queries import LogCriteria
from tracker.api.errors import InvalidField
from tracker.api.fields import INT64
from tracker.keyset import Cursor
from tracker.text import isolated
from webui.admin.base import TrackerModelAdmin
from webui.admin.cells import clipped, link, rows_by_id, worker_name
from webui.admin.filters import Choice, Since, Typed, Until
from webui.admin.paging import Page
from webui.links import task_pages
from webui.query import number_of, text_of, time_of, workers_called
from webui.templatetags.formatting import Kind, mark, moment, utc

SHOWN = 300
_KINDS = {Level.FATAL: Kind.BAD, Level.PANIC: Kind.BAD, Level.ERROR: Kind.BAD, Level.WARN: Kind.WARN}


class LevelFilter(Choice):
    title, parameter_name = _("level"), "level"
    options = (
        (str(Level.ERROR.value), _("errors")),
        (str(Level.WARN.value), _("warnings and errors")),
        (str(Level.INFO.value), _("all but debugging")),
    )


class ScopeFilter(Typed):
    title, parameter_name = _("scope"), "scope"


class WorkerFilter(Typed):
    title, parameter_name = _("worker (id or alias)"), "worker"


class TaskFilter(Typed):
    title, parameter_name = _("task (id)"), "task"


@admin.register(LogEntry)
class LogEntryAdmin(TrackerModelAdmin):
    """Every manager reads every entry, as in the API."""

    plural = _("Logs")
    list_display = ("when", "level_mark", "scope_begin", "message_begin", "by", "task")
    list_display_links = ("when",)
    list_filter = (LevelFilter, ScopeFilter, WorkerFilter, TaskFilter, Since, Until)
    search_fields = ("message", "scope")
    search_help_text = _("Text of the message or the scope")
    fieldsets = (
        (None, {"fields": ("when", "received_at", "level_mark", "scope_whole", "by", "task", "message_whole")}),
    )
    readonly_fields = ("when", "received_at", "level_mark", "scope_whole", "by", "task", "message_whole")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[LogEntry]":
        return LogEntry.objects.select_related("worker")

    def criteria(self, request: HttpRequest) -> LogCriteria:
        """The search criteria in the query string. Raises InvalidField."""
        since, until = time_of(request, "since"), time_of(request, "until")
        return LogCriteria(
            level=number_of(request, "level", low=Level.FATAL, high=Level.TRACE),
            scope=text_of(request, "scope") or None,
            workers=workers_called(text_of(request, "worker")),
            since=int(since.timestamp()) if since else None,
            until=int(until.timestamp()) if until else None,
            text=text_of(request, "q") or None,
            task=number_of(request, "task", low=1, high=INT64[1]),
        )

    def find_page(self, request: HttpRequest, queryset: "QuerySet[LogEntry]", after: Cursor | None, limit: int) -> Page:
        try:
            found = queries.find(self.criteria(request), after=after, limit=limit)
        except InvalidField as error:
            self.message_user(request, str(error), messages.ERROR)
            return Page([])
        few = queryset.only("id", "level", "timestamp", "received", "task_id", "worker__alias").annotate(
            message_start=Left("message", SHOWN), scope_start=Left("scope", 100)
        )
        stopped = found.looked is not None and found.following is not None
        down_to = moment(found.following[0]) if stopped and found.following else ""
        entries = rows_by_id(few, found.ids)
        self._link_tasks(request, entries)
        return Page(entries, found.following, found.looked, down_to)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        entry = super().get_object(request, object_id, from_field)
        self._link_tasks(request, [entry])
        return entry

    def _link_tasks(self, request: HttpRequest, entries: list[Any]) -> None:
        pages = task_pages(request, {entry.task_id for entry in entries if entry.task_id is not None})
        for entry in entries:
            entry.task_page = pages.get(entry.task_id)

    def name_of(self, obj: LogEntry) -> SafeString | str:
        return utc(obj.received)

    @admin.display(description=_("received"))
    def received_at(self, entry: LogEntry) -> SafeString | str:
        return moment(entry.received)

    @admin.display(description=_("time"))
    def when(self, entry: LogEntry) -> SafeString | str:
        """When it was received and, where it differs much, the worker's time."""
        if not entry.is_off:
            return moment(entry.received)
        # Out of range, it is the number itself.
        said = moment(entry.time) if entry.time else entry.timestamp
        return format_html("{}<br>{}<br>{}", moment(entry.received), _("by the worker's clock:"), said)

    @admin.display(description=_("level"))
    def level_mark(self, entry: LogEntry) -> SafeString:
        level = Level(entry.level)
        return mark(level.name.lower(), _KINDS.get(level, Kind.PLAIN))

    @admin.display(description=_("scope"))
    def scope_begin(self, entry: Any) -> SafeString:
        return clipped(entry.scope_start, short=True)

    @admin.display(description=_("scope"))
    def scope_whole(self, entry: LogEntry) -> str:
        return isolated(entry.scope)

    @admin.display(description=_("message"))
    def message_begin(self, entry: Any) -> SafeString:
        return clipped(entry.message_start)

    @admin.display(description=_("message"))
    def message_whole(self, entry: LogEntry) -> SafeString:
        return format_html('<pre class="whole">{}</pre>', entry.message)

    @admin.display(description=_("task"))
    def task(self, entry: LogEntry) -> SafeString | str:
        """The task that the entry is about: its page or, if there is none, the other entries about it."""
        if entry.task_id is None:
            return "–"
        return link(entry.task_page or f"{self.address('changelist')}?task={entry.task_id}", entry.task_id)  # type: ignore[attr-defined]

    @admin.display(description=_("worker"))
    def by(self, entry: LogEntry) -> SafeString:
        return clipped(worker_name(entry.worker_id, entry.worker.alias if entry.worker else None), short=True)
