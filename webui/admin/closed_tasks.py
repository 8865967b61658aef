"""Closed tasks that are still kept, in the admin. Read-only."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks.models import ClosedTask
from tasks.queries import closed
from tasks.queries.closed import ClosedCriteria
from tracker.api.errors import InvalidField
from tracker.api.fields import INT64
from tracker.keyset import Cursor
from webui.admin.base import TrackerModelAdmin
from webui.admin.cells import aliases_of, clipped, project_link, rows_by_id, vote_table, worker_name
from webui.admin.filters import ProjectFilter, Since, Until
from webui.admin.paging import Page
from webui.query import id_in, number_of, text_of, time_of
from webui.scope import scope_of
from webui.templatetags.formatting import moment

SHOWN = 300
_TIMES = ("submitted", "leased_at", "closed_at")


@admin.register(ClosedTask)
class ClosedTaskAdmin(TrackerModelAdmin):
    plural = _("Closed tasks")
    note = _("Newest first, for as long as their project keeps them.")
    list_display = ("number", "recipe_begin", "project_name", "by", "closed_at", "verified")
    list_display_links = ("number",)
    list_filter = (ProjectFilter, Since, Until)
    search_fields = ("pk",)
    search_help_text = _('Id or, within one project, text of the recipe; a number in quotes, "42", is text')
    fieldsets = (
        (None, {"fields": ("project_name", "recipe_whole", "hash", "tries", "order")}),
        (_("Closed"), {"fields": ("by", "verified", "submitted", "leased_at", "closed_at", "votes_before")}),
    )
    readonly_fields = (
        "project_name",
        "recipe_whole",
        "hash",
        "tries",
        "order",
        "by",
        "verified",
        "votes_before",
        *_TIMES,
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ClosedTask]":
        # Don't join the worker: it may have been deleted, and the join would lose the row.
        return scope_of(request).within(ClosedTask.objects.select_related("project"))

    def criteria(self, request: HttpRequest) -> ClosedCriteria:
        """The search criteria in the query string. Raises InvalidField."""
        projects = scope_of(request).project_ids()
        chosen = number_of(request, "project", low=1, high=INT64[1])
        if chosen is not None:
            projects = [one for one in projects if one == chosen]
        text = text_of(request, "q")
        task = id_in(text)
        if task is not None:
            return ClosedCriteria(projects, task=task)
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if text and len(projects) > 1:
            raise InvalidField("project", str(_("a text search requires one project; choose it in the filters.")))
        return ClosedCriteria(projects, time_of(request, "since"), time_of(request, "until"), None, text or None)

    def find_page(
        self, request: HttpRequest, queryset: "QuerySet[ClosedTask]", after: Cursor | None, limit: int
    ) -> Page:
        try:
            found = closed.find(self.criteria(request), after=after, limit=limit)
        except InvalidField as error:
            self.message_user(request, str(error), messages.ERROR)
            return Page([])
        few = queryset.only("id", "closed", "verification", "worker_id", "project__name")
        rows = rows_by_id(few.annotate(recipe_start=Left("recipe", SHOWN)), found.ids)
        aliases = aliases_of([row.worker_id for row in rows])
        for row in rows:
            row.alias = aliases.get(row.worker_id)
        down_to = str(found.following[1]) if found.looked is not None and found.following else ""
        return Page(rows, found.following, found.looked, down_to)

    def name_of(self, obj: ClosedTask) -> str:
        return gettext("Closed task %(id)s") % {"id": obj.pk}

    @admin.display(description=_("id"))
    def number(self, task: ClosedTask) -> str:
        return str(task.pk)

    @admin.display(description=_("recipe"))
    def recipe_begin(self, task: Any) -> SafeString:
        return clipped(task.recipe_start)

    @admin.display(description=_("recipe"))
    def recipe_whole(self, task: ClosedTask) -> SafeString:
        return format_html('<pre class="whole">{}</pre>', task.recipe)

    @admin.display(description=_("project"))
    def project_name(self, task: ClosedTask) -> SafeString:
        return project_link(task.project)

    @admin.display(description=_("closed by"))
    def by(self, task: Any) -> SafeString:
        alias = task.alias if hasattr(task, "alias") else aliases_of([task.worker_id]).get(task.worker_id)
        return clipped(worker_name(task.worker_id, alias), short=True)

    @admin.display(description=_("submitted"))
    def submitted(self, task: ClosedTask) -> SafeString | str:
        return moment(task.created)

    @admin.display(description=_("leased at"))
    def leased_at(self, task: ClosedTask) -> SafeString | str:
        return moment(task.assign_time)

    @admin.display(description=_("closed at"))
    def closed_at(self, task: ClosedTask) -> SafeString | str:
        return moment(task.closed)

    @admin.display(description=_("verification hash"))
    def verified(self, task: ClosedTask) -> str:
        return str(task.verification)

    @admin.display(description=_("hash"))
    def hash(self, task: ClosedTask) -> str:
        return "–" if task.hash64 is None else str(task.hash64)

    @admin.display(description=_("retries"))
    def tries(self, task: ClosedTask) -> str:
        return str(task.retries)

    @admin.display(description=_("priority"))
    def order(self, task: ClosedTask) -> str:
        return str(task.priority)

    @admin.display(description=_("previously verified by"))
    def votes_before(self, task: ClosedTask) -> SafeString:
        return vote_table(task.voters, task.votes)
