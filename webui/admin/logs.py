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
from tracker.keyset import Cursor
from tracker.text import isolated
from webui.admin.base import TrackerModelAdmin
from webui.admin.cells import clipped, label, moment, rows_by_id, worker_name, workers_called, written
from webui.admin.filters import Choice, Since, Typed, Until, number_of, text_of, time_of
from webui.admin.paging import Page

SHOWN = 300
_KINDS = {Level.WARN: "warning", Level.INFO: "info", Level.DEBUG: "", Level.TRACE: ""}


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


@admin.register(LogEntry)
class LogEntryAdmin(TrackerModelAdmin):
    """Every manager reads every entry, as in the API."""

    plural = _("Logs")
    list_display = ("when", "level_mark", "scope_begin", "message_begin", "by")
    list_display_links = ("when",)
    list_filter = (LevelFilter, ScopeFilter, WorkerFilter, Since, Until)
    search_fields = ("message",)
    search_help_text = _("Text of the message")
    fieldsets = ((None, {"fields": ("when", "received_at", "level_mark", "scope_whole", "by", "message_whole")}),)
    readonly_fields = ("when", "received_at", "level_mark", "scope_whole", "by", "message_whole")

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
        )

    def find_page(self, request: HttpRequest, queryset: "QuerySet[LogEntry]", after: Cursor | None, limit: int) -> Page:
        try:
            found = queries.find(self.criteria(request), after=after, limit=limit)
        except InvalidField as error:
            self.message_user(request, str(error), messages.ERROR)
            return Page([])
        few = queryset.only("id", "level", "timestamp", "received", "worker__alias").annotate(
            message_start=Left("message", SHOWN), scope_start=Left("scope", 100)
        )
        stopped = found.looked is not None and found.following is not None
        down_to = written(found.following[0]) if stopped and found.following else ""
        return Page(rows_by_id(few, found.ids), found.following, found.looked, down_to)

    def name_of(self, obj: LogEntry) -> str:
        return moment(obj.timestamp)

    @admin.display(description=_("received"))
    def received_at(self, entry: LogEntry) -> str:
        return written(entry.received)

    @admin.display(description=_("time"))
    def when(self, entry: LogEntry) -> SafeString:
        """When it was received and, where it differs much, the worker's time."""
        if not entry.is_off:
            return format_html("{}", written(entry.received))
        return format_html("{}<br>{} {}", written(entry.received), _("by the worker's clock:"), moment(entry.timestamp))

    @admin.display(description=_("level"))
    def level_mark(self, entry: LogEntry) -> SafeString:
        level = Level(entry.level)
        return label(level.name.lower(), _KINDS.get(level, "danger"))

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

    @admin.display(description=_("worker"))
    def by(self, entry: LogEntry) -> str:
        return worker_name(entry.worker_id, entry.worker.alias if entry.worker else None)
