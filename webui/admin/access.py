"""Workers' access requests in the admin."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, DateTimeField, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from projects.roles import Role
from tracker.text import isolated
from webui.access_requests import decide_each
from webui.admin.base import TrackerModelAdmin, action
from webui.admin.cells import LISTED, access_words, clipped, clipped_worker, marks_of, worker_name
from webui.admin.filters import Choice, ProjectFilter
from webui.query import id_in, text_of
from webui.scope import scope_of
from webui.templatetags.formatting import Kind, count, moment
from workers import services
from workers.models import WorkerAccess
from workers.queries import GRANTED, PENDING


class DecisionFilter(Choice):
    title, parameter_name = _("state"), "state"
    options = (("pending", _("waiting for a decision")), ("granted", _("granted")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> "QuerySet[WorkerAccess]":
        chosen = text_of(request, "state")
        conditions = {"pending": PENDING, "granted": GRANTED}
        return queryset.filter(conditions.get(chosen, Q()))


class AccessProjectFilter(ProjectFilter):
    role = Role.MANAGE_ACCESS

    def queryset(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> "QuerySet[WorkerAccess]":
        chosen = text_of(request, "project")
        return queryset.filter(project=id_in(chosen) or 0) if chosen else queryset


@admin.register(WorkerAccess)
class WorkerAccessAdmin(TrackerModelAdmin):
    plural = _("Requests")
    note = _("Pending requests come first, the oldest at the top.")
    keys = ("settled", "since", "pk")
    list_display = ("name", "project_name", "asks", "has", "asked_at")
    list_display_links = None
    list_filter = (DecisionFilter, AccessProjectFilter)
    search_fields = ("worker__alias",)
    search_help_text = _("Alias or id of the worker, or the project's name")
    actions = ("approve", "reject")

    def has_view_permission(self, request: HttpRequest, obj: WorkerAccess | None = None) -> bool:
        # Rows have no pages of their own.
        return obj is None and scope_of(request).has_anywhere(Role.MANAGE_ACCESS)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[WorkerAccess]":
        settled = Case(When(PENDING, then=Value(0)), default=Value(1), output_field=IntegerField())
        since = Coalesce("asked", Value("2000-01-01T00:00:00+00:00"), output_field=DateTimeField())
        accesses = WorkerAccess.objects.select_related("worker", "project").annotate(settled=settled, since=since)
        return scope_of(request).within(accesses, Role.MANAGE_ACCESS)

    def search(self, queryset: "QuerySet[WorkerAccess]", text: str) -> "QuerySet[WorkerAccess]":
        names = Q(worker__alias__icontains=text) | Q(project__name__icontains=text)
        return queryset.filter(names | Q(worker=id_in(text) or 0))

    @admin.display(description=_("worker"))
    def name(self, access: WorkerAccess) -> SafeString:
        return clipped_worker(access.worker)

    @admin.display(description=_("project"))
    def project_name(self, access: WorkerAccess) -> SafeString:
        return clipped(access.project.name, short=True)

    @admin.display(description=_("asks for"))
    def asks(self, access: WorkerAccess) -> SafeString | str:
        wanted = (("ASSIGN", access.wants_assign), ("SUBMIT", access.wants_submit))
        return marks_of([name for name, wants in wanted if wants], Kind.WARN)

    @admin.display(description=_("asked at"))
    def asked_at(self, access: WorkerAccess) -> SafeString | str:
        return moment(access.asked)

    @admin.display(description=_("has"))
    def has(self, access: WorkerAccess) -> SafeString | str:
        return access_words(access)

    @action(_("Approve"), icon="check", role=Role.MANAGE_ACCESS)
    def approve(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> HttpResponse | None:
        requests = queryset.filter(PENDING)
        if self.is_confirmed(request):
            number = self._decide(request, requests, services.accept_request)
            text = ngettext("%(number)s request was approved.", "%(number)s requests were approved.", number)
            self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
            return None
        question = _("These workers are granted what they asked for, from their next call on.")
        return self._ask_for(request, requests, "approve", question, [_requests(requests.count())])

    @action(_("Reject and revoke access"), icon="close", role=Role.MANAGE_ACCESS, danger=True)
    def reject(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> HttpResponse | None:
        if self.is_confirmed(request):
            number = self._decide(request, queryset, services.reject_request)
            text = ngettext(
                "%(number)s access was rejected or revoked.", "%(number)s accesses were rejected or revoked.", number
            )
            self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
            return None
        question = _("The requests of these workers are rejected, and the access that they were granted is revoked.")
        granted = queryset.filter(GRANTED).count()
        accesses = ngettext("%(number)s granted access", "%(number)s granted accesses", granted)
        touches = [_requests(queryset.filter(PENDING).count()), accesses % {"number": count(granted)}]
        return self._ask_for(request, queryset, "reject", question, touches)

    def _ask_for(
        self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]", name: str, question: Any, touches: list[str]
    ) -> HttpResponse:
        some = queryset[: LISTED + 1]
        rows = [(worker_name(one.worker_id, one.worker.alias), isolated(one.project.name)) for one in some]
        return self.ask(request, name=name, question=question, touches=", ".join(touches), rows=rows)

    def _decide(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]", decide: Callable[..., None]) -> int:
        """Decide on each request. Returns how many were decided. Raises Forbidden before anything is changed."""
        accesses = list(queryset)
        scope_of(request).demand(Role.MANAGE_ACCESS, {access.project_id for access in accesses})
        return decide_each(accesses, decide)


def _requests(number: int) -> str:
    return ngettext("%(number)s request", "%(number)s requests", number) % {"number": count(number)}
