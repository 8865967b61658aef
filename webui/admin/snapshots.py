"""Snapshots in the admin, read-only."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from projects.models import Snapshot
from webui.admin.base import TrackerModelAdmin
from webui.admin.cells import clipped
from webui.admin.filters import ProjectFilter
from webui.query import id_in, text_of
from webui.scope import scope_of
from webui.templatetags.formatting import count, moment


@admin.register(Snapshot)
class SnapshotAdmin(TrackerModelAdmin):
    plural = _("Snapshots")
    note = _("The state of each project over time, as recorded by the scheduler.")
    list_display = (
        "taken_at",
        "project_name",
        "open",
        "leased",
        "delayed",
        "awaiting",
        "failed",
        "closed",
        "workers",
        "commit",
    )
    list_display_links = None
    list_filter = (ProjectFilter,)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Snapshot]":
        found = scope_of(request).within(Snapshot.objects.select_related("project"))
        chosen = text_of(request, "project")
        return found.filter(project=id_in(chosen) or 0) if chosen else found

    def has_view_permission(self, request: HttpRequest, obj: Snapshot | None = None) -> bool:
        # Rows have no pages of their own.
        return obj is None

    @admin.display(description=_("taken at"))
    def taken_at(self, snapshot: Snapshot) -> SafeString | str:
        return moment(snapshot.taken)

    @admin.display(description=_("project"))
    def project_name(self, snapshot: Snapshot) -> SafeString:
        return clipped(snapshot.project.name, short=True)

    @admin.display(description=_("open"))
    def open(self, snapshot: Snapshot) -> str:
        return count(snapshot.new_task_count)

    @admin.display(description=_("leased"))
    def leased(self, snapshot: Snapshot) -> str:
        return count(snapshot.leased_task_count)

    @admin.display(description=_("delayed"))
    def delayed(self, snapshot: Snapshot) -> str:
        return count(snapshot.delayed_task_count)

    @admin.display(description=_("awaiting"))
    def awaiting(self, snapshot: Snapshot) -> str:
        return count(snapshot.awaiting_verification_count)

    @admin.display(description=_("failed"))
    def failed(self, snapshot: Snapshot) -> str:
        return count(snapshot.failed_task_count)

    @admin.display(description=_("closed"))
    def closed(self, snapshot: Snapshot) -> str:
        return count(snapshot.closed_task_count)

    @admin.display(description=_("workers with access"))
    def workers(self, snapshot: Snapshot) -> str:
        return count(snapshot.worker_access_count)

    @admin.display(description=_("version"))
    def commit(self, snapshot: Snapshot) -> SafeString:
        return clipped(snapshot.version[:12], title=snapshot.version)
