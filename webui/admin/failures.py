"""Groups of failures in the admin, read-only. What can be done about them is in the list of their tasks."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from projects.models import Project
from tasks.models import FailureGroup
from tasks.queries import failures
from tracker.api.errors import InvalidField
from tracker.api.fields import INT64
from tracker.keyset import Cursor
from tracker.text import gist
from webui.admin.base import TrackerModelAdmin
from webui.admin.cells import clipped, link, project_link
from webui.admin.filters import ProjectFilter
from webui.admin.paging import Page
from webui.links import failure_address
from webui.outcomes import KINDS, REASONS
from webui.query import number_of
from webui.scope import scope_of
from webui.templatetags.formatting import Kind, count, mark, moment


@admin.register(FailureGroup)
class FailureGroupAdmin(TrackerModelAdmin):
    plural = _("Failures")
    note = _("Attempts that failed alike, the last seen first.")
    list_display = ("what", "reason_name", "project_name", "attempts", "failed", "seen", "since", "seen_by")
    list_display_links = None
    list_filter = (ProjectFilter,)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[FailureGroup]":
        return scope_of(request).within(FailureGroup.objects.select_related("project"))

    def has_view_permission(self, request: HttpRequest, obj: FailureGroup | None = None) -> bool:
        # Rows have no pages of their own here.
        return obj is None

    def find_page(
        self, request: HttpRequest, queryset: "QuerySet[FailureGroup]", after: Cursor | None, limit: int
    ) -> Page:
        projects = scope_of(request).project_ids()
        try:
            chosen = number_of(request, "project", low=1, high=INT64[1])
        except InvalidField as error:
            self.message_user(request, str(error), messages.ERROR)
            return Page([])
        if chosen is not None:
            projects = [one for one in projects if one == chosen]
        found = failures.find(projects, after=after, limit=limit)
        named = Project.objects.in_bulk({group.project_id for group in found.groups})
        return Page([_row(group, named) for group in found.groups], found.following)

    @admin.display(description=_("message"))
    def what(self, row: Any) -> SafeString:
        shown = clipped(gist(row.group.message or "") or str(_("No message")))
        return link(failure_address(row.group.project_id, row.group.key), shown)

    @admin.display(description=_("reason"))
    def reason_name(self, row: Any) -> SafeString:
        return mark(REASONS[row.group.reason], Kind(KINDS.get(row.group.reason, "")))

    @admin.display(description=_("project"))
    def project_name(self, row: Any) -> SafeString:
        return project_link(row.project)

    @admin.display(description=_("attempts"))
    def attempts(self, row: Any) -> str:
        return count(row.group.total)

    @admin.display(description=_("failed tasks"))
    def failed(self, row: Any) -> SafeString | str:
        group = row.group
        if not group.failed_tasks:
            return count(0)
        number = f"≥ {count(group.failed_tasks)}" if group.is_cut else count(group.failed_tasks)
        return link(f"/admin/tasks/task/?project={group.project_id}&failure={group.key}", number)

    @admin.display(description=_("last seen"))
    def seen(self, row: Any) -> SafeString | str:
        return moment(row.group.last_seen)

    @admin.display(description=_("first seen"))
    def since(self, row: Any) -> SafeString | str:
        return moment(row.group.first_seen)

    @admin.display(description=_("workers"))
    def seen_by(self, row: Any) -> str:
        number = len(row.group.workers)
        return f"≥ {count(number)}" if number >= failures.KNOWN else count(number)


def _row(group: failures.Failure, named: dict[int, Project]) -> FailureGroup:
    """A group as a row of the list. It need not be stored yet: it may consist of attempts that wait to be folded."""
    row: Any = FailureGroup(fingerprint=group.fingerprint, project=named[group.project_id])
    row.group = group
    shown: FailureGroup = row
    return shown
