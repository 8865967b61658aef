"""Workers and their requests for access in the admin."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, DateTimeField, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from projects.models import Project
from projects.roles import Role
from projects.scoping import Scope, scope_of
from tasks import maintenance
from tasks.activity import Activity, activity, holders
from tasks.shown import ProjectFilter
from tracker.filters import Choice, id_in, text_of
from tracker.keyset import Page, Place
from tracker.modeladmin import TrackerModelAdmin, action, clipped, label, labels, link, written
from tracker.templatetags.tracker import count
from workers import services
from workers.models import Worker, WorkerAccess
from workers.services import NothingAsked

PENDING = Q(wants_assign=True) | Q(wants_submit=True)
# A badge tells no more than that there are many.
MANY = 100


def waiting_requests(scope: Scope) -> int:
    """How many requests wait for this manager's decision, MANY at most."""
    return scope.within(WorkerAccess.objects.filter(PENDING), Role.MANAGE_ACCESS)[:MANY].count()


def waiting_words(number: int) -> str:
    """The number for a badge; empty for none."""
    return f"{MANY - 1}+" if number >= MANY else str(number or "")


class PausedFilter(Choice):
    title, parameter_name = _("state"), "state"
    options = (("paused", _("paused")), ("running", _("not paused")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> "QuerySet[Worker]":
        chosen = text_of(request, "state")
        return queryset.filter(paused=chosen == "paused") if chosen in ("paused", "running") else queryset


@admin.register(Worker)
class WorkerAdmin(TrackerModelAdmin):
    plural = _("Workers")
    note = _(
        "A worker was last seen when it last leased, closed or logged something; only the newest of that is looked at."
    )
    list_display = ("name", "number", "state", "seen", "leases", "closed", "registered")
    list_display_links = ("name",)
    list_filter = (PausedFilter,)
    search_fields = ("alias",)
    search_help_text = _("Alias or id")
    actions = page_actions = ("pause", "resume", "release_leases", "rotate_secret")
    fieldsets = (
        (None, {"fields": ("name", "number", "state", "registered")}),
        (_("Activity"), {"fields": ("seen", "leases", "closed")}),
        (_("Access"), {"fields": ("access_table",)}),
    )
    readonly_fields = ("name", "number", "state", "seen", "leases", "closed", "access_table", "registered")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Worker]":
        scope = scope_of(request)
        workers = Worker.objects.defer("secret_digest")
        if scope.everywhere:
            return workers
        # A manager knows those whose access it decides on and those that hold tasks of its projects.
        projects = scope.project_ids(Role.MANAGE_ACCESS)
        with_access = WorkerAccess.objects.filter(project__in=projects).values("worker")
        return workers.filter(Q(pk__in=with_access) | Q(pk__in=holders(projects) if projects else []))

    def search(self, queryset: "QuerySet[Worker]", text: str) -> "QuerySet[Worker]":
        return queryset.filter(Q(alias__icontains=text) | Q(pk=id_in(text) or 0))

    def find_page(self, request: HttpRequest, queryset: "QuerySet[Worker]", after: Place | None, limit: int) -> Page:
        page = super().find_page(request, queryset, after, limit)
        self._add_activity(request, page.rows)
        return page

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        worker = super().get_object(request, object_id, from_field)
        self._add_activity(request, [worker])
        worker.accesses_in_scope = scope_of(request).within(worker.accesses.select_related("project"))
        return worker

    def _add_activity(self, request: HttpRequest, workers: list[Any]) -> None:
        scope = scope_of(request)
        projects = scope.project_ids() if scope.everywhere else scope.project_ids(Role.MANAGE_ACCESS)
        found = activity([worker.pk for worker in workers], projects) if workers else {}
        for worker in workers:
            worker.activity = found.get(worker.pk, Activity())

    # --- What is shown ---

    @admin.display(description=_("alias"))
    def name(self, worker: Worker) -> SafeString:
        return clipped(worker.alias, short=True)

    @admin.display(description=_("id"))
    def number(self, worker: Worker) -> str:
        return str(worker.pk)

    @admin.display(description=_("state"))
    def state(self, worker: Worker) -> SafeString:
        return label(_("paused"), "danger") if worker.paused else label(_("not paused"))

    @admin.display(description=_("last seen"))
    def seen(self, worker: Any) -> str:
        return written(worker.activity.seen)

    @admin.display(description=_("leases now"))
    def leases(self, worker: Any) -> SafeString:
        return link(f"/admin/tasks/task/?worker={worker.pk}", count(worker.activity.leases))

    @admin.display(description=_("closed"))
    def closed(self, worker: Any) -> str:
        return count(worker.activity.closed)

    @admin.display(description=_("registered"))
    def registered(self, worker: Worker) -> str:
        return written(worker.created)

    @admin.display(description=_("projects"))
    def access_table(self, worker: Any) -> SafeString:
        rows = [(access.project.name, access_words(access)) for access in worker.accesses_in_scope[:MANY]]
        return format_html(
            '<table class="plain">{}</table>', format_html_join("", "<tr><td>{}</td><td>{}</td></tr>", rows)
        )

    # --- What is done: by tracker admins, since it concerns the worker in every project ---

    def is_useful(self, name: str, obj: Any) -> bool:
        useful = {"pause": not obj.paused, "resume": obj.paused, "release_leases": obj.activity.leases > 0}
        return bool(useful.get(name, True))

    @action(_("Pause"), icon="pause")
    def pause(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> HttpResponse | None:
        return self._set_paused(request, queryset, paused=True)

    @action(_("Resume"), icon="play_arrow")
    def resume(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> HttpResponse | None:
        return self._set_paused(request, queryset, paused=False)

    def _set_paused(self, request: HttpRequest, queryset: "QuerySet[Worker]", *, paused: bool) -> HttpResponse | None:
        scope_of(request).demand_everywhere()
        workers = list(queryset.order_by("alias", "pk"))
        if not self.is_confirmed(request):
            question = (
                _("These workers are refused work from their next call on; what they hold they may still report.")
                if paused
                else _("These workers are given work again.")
            )
            return self._ask_for(request, workers, "pause" if paused else "resume", question)
        for worker in workers:
            services.set_paused(worker_id=worker.pk, paused=paused)
        number = len(workers)
        text = (
            ngettext("%(number)s worker was paused.", "%(number)s workers were paused.", number)
            if paused
            else ngettext("%(number)s worker was resumed.", "%(number)s workers were resumed.", number)
        )
        self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
        return None

    @action(_("Release its leases"), icon="lock_open")
    def release_leases(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> HttpResponse | None:
        scope_of(request).demand_everywhere()
        workers = list(queryset.order_by("alias", "pk"))
        if not self.is_confirmed(request):
            question = _("Every lease of these workers is taken back; what they report of them counts no more.")
            return self._ask_for(request, workers, "release_leases", question)
        number = sum(maintenance.release_leases_of(worker=worker) for worker in workers)
        text = ngettext("%(number)s lease was taken back.", "%(number)s leases were taken back.", number)
        self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
        return None

    @action(_("Rotate its secret"), icon="key", danger=True, in_list=False)
    def rotate_secret(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> HttpResponse | None:
        scope_of(request).demand_everywhere()
        worker = queryset.get()
        if not self.is_confirmed(request):
            question = _("The worker gets a new secret, which is shown once; the old one stops at once.")
            return self._ask_for(request, [worker], "rotate_secret", question)
        secret = services.rotate_secret(worker=worker).secret
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": _("New secret"),
            "crumbs": self.crumbs(worker.alias, str(_("New secret"))),
            "worker": worker,
            "secret": secret,
            "back": self.address("change", worker.pk),
        }
        return TemplateResponse(request, "admin/workers/worker/secret.html", context)

    def _ask_for(self, request: HttpRequest, workers: list[Worker], name: str, question: Any) -> HttpResponse:
        self._add_activity(request, workers)
        leases = sum(worker.activity.leases for worker in workers)  # type: ignore[attr-defined]
        number = len(workers)
        touches = [
            ngettext("%(number)s worker", "%(number)s workers", number) % {"number": count(number)},
            ngettext("%(number)s leased task", "%(number)s leased tasks", leases) % {"number": count(leases)},
        ]
        rows = [(f"{one.alias} ({one.pk})", count(one.activity.leases)) for one in workers[:MANY]]  # type: ignore[attr-defined]
        return self.ask(request, name=name, question=question, touches=", ".join(touches), rows=rows)


class DecisionFilter(Choice):
    title, parameter_name = _("state"), "state"
    options = (("pending", _("waiting for a decision")), ("granted", _("granted")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> "QuerySet[WorkerAccess]":
        chosen = text_of(request, "state")
        conditions = {"pending": PENDING, "granted": Q(assign=True) | Q(submit=True)}
        return queryset.filter(conditions.get(chosen, Q()))


class AccessProjectFilter(ProjectFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:
        found = scope_of(request).within(Project.objects.order_by("name"), Role.MANAGE_ACCESS, project="pk")
        return tuple((str(pk), name) for pk, name in found.values_list("pk", "name"))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> "QuerySet[WorkerAccess]":
        chosen = text_of(request, "project")
        return queryset.filter(project=id_in(chosen) or 0) if chosen else queryset


@admin.register(WorkerAccess)
class WorkerAccessAdmin(TrackerModelAdmin):
    plural = _("Access requests")
    note = _("What waits for a decision comes first, the longest waiting above.")
    keys = ("settled", "since", "pk")
    list_display = ("name", "project_name", "asks", "has", "asked_at")
    list_display_links = None
    list_filter = (DecisionFilter, AccessProjectFilter)
    search_fields = ("worker__alias",)
    search_help_text = _("Alias or id of the worker, or the project's name")
    actions = ("approve", "reject")

    def has_view_permission(self, request: HttpRequest, obj: WorkerAccess | None = None) -> bool:
        # A list without pages.
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
        return clipped(f"{access.worker.alias} ({access.worker_id})")

    @admin.display(description=_("project"))
    def project_name(self, access: WorkerAccess) -> SafeString:
        return clipped(access.project.name, short=True)

    @admin.display(description=_("asks for"))
    def asks(self, access: WorkerAccess) -> SafeString | str:
        wanted = {
            name: "warning"
            for name, wants in (("ASSIGN", access.wants_assign), ("SUBMIT", access.wants_submit))
            if wants
        }
        return labels(wanted) if wanted else "–"

    @admin.display(description=_("asked at"))
    def asked_at(self, access: WorkerAccess) -> str:
        return written(access.asked)

    @admin.display(description=_("has"))
    def has(self, access: WorkerAccess) -> SafeString | str:
        return access_words(access)

    @action(_("Approve"), icon="check", role=Role.MANAGE_ACCESS)
    def approve(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> HttpResponse | None:
        if request.method != "POST":
            return None
        number = self._decide(request, queryset.filter(PENDING), services.accept_request)
        text = ngettext("%(number)s request was approved.", "%(number)s requests were approved.", number)
        self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
        return None

    @action(_("Reject, and take what was granted"), icon="close", role=Role.MANAGE_ACCESS, danger=True)
    def reject(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]") -> HttpResponse | None:
        if self.is_confirmed(request):
            number = self._decide(request, queryset, services.reject_request)
            text = ngettext("%(number)s access was taken.", "%(number)s accesses were taken.", number)
            self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
            return None
        number = queryset.count()
        return self.ask(
            request,
            name="reject",
            question=_("These workers are refused what they asked for, and lose what they were granted."),
            touches=ngettext("%(number)s worker", "%(number)s workers", number) % {"number": count(number)},
            rows=[(f"{one.worker.alias} ({one.worker_id})", one.project.name) for one in queryset[:MANY]],
        )

    def _decide(self, request: HttpRequest, queryset: "QuerySet[WorkerAccess]", decide: Callable[..., None]) -> int:
        """Decide on each. Raises Forbidden before anything is done."""
        accesses = list(queryset)
        scope_of(request).demand(Role.MANAGE_ACCESS, {access.project_id for access in accesses})
        number = 0
        for access in accesses:
            try:
                decide(project=access.project, worker_id=access.worker_id)
            except NothingAsked:
                # Somebody else decided at the same moment.
                continue
            number += 1
        return number


def access_words(access: WorkerAccess) -> SafeString | str:
    """What was granted, as marks."""
    granted = {name: "success" for name, has in (("ASSIGN", access.assign), ("SUBMIT", access.submit)) if has}
    return labels(granted) if granted else "–"
