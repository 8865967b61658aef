"""Workers in the admin. Their access requests are in access.py."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from projects.roles import Role
from tasks import maintenance
from tasks.queries.activity import Activity, activity, holders
from tasks.queries.figures import Period
from tracker.keyset import Cursor
from tracker.text import isolated
from webui.admin.base import TrackerModelAdmin, action
from webui.admin.cells import LISTED, access_words, clipped, link, operator_mark, short_table, worker_name
from webui.admin.figures import figures_table
from webui.admin.filters import Choice
from webui.admin.paging import Page
from webui.query import id_in, text_of
from webui.scope import scope_of
from webui.standing import standing
from webui.templatetags.formatting import Kind, count, duration, mark, moment, utc
from workers import services
from workers.models import Worker, WorkerAccess
from workers.queries import operators_of


class PausedFilter(Choice):
    title, parameter_name = _("state"), "state"
    options = (("paused", _("paused")), ("running", _("active")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> "QuerySet[Worker]":
        chosen = text_of(request, "state")
        return queryset.filter(paused=chosen == "paused") if chosen in ("paused", "running") else queryset


@admin.register(Worker)
class WorkerAdmin(TrackerModelAdmin):
    plural = _("Workers")
    note = _(
        "“Last seen” is the time of the worker's last lease, closed task or log entry; of closed tasks, only recent "
        "ones are examined. A worker whose leases have expired was not heard of in time."
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
        (_("What it has done"), {"fields": ("figures_of_day", "figures_of_all")}),
        (_("Access"), {"fields": ("access_table",)}),
    )
    readonly_fields = (
        *("name", "number", "state", "seen", "leases", "closed", "access_table", "registered"),
        *("figures_of_day", "figures_of_all"),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Worker]":
        scope = scope_of(request)
        workers = Worker.objects.defer("secret_digest")
        if scope.everywhere:
            return workers
        # A manager sees the workers that have or request access to its projects, or that hold leases in them.
        projects = scope.project_ids(Role.MANAGE_ACCESS)
        with_access = WorkerAccess.objects.filter(project__in=projects).values("worker")
        return workers.filter(Q(pk__in=with_access) | Q(pk__in=holders(projects) if projects else []))

    def search(self, queryset: "QuerySet[Worker]", text: str) -> "QuerySet[Worker]":
        return queryset.filter(Q(alias__icontains=text) | Q(pk=id_in(text) or 0))

    def find_page(self, request: HttpRequest, queryset: "QuerySet[Worker]", after: Cursor | None, limit: int) -> Page:
        page = super().find_page(request, queryset, after, limit)
        self._add_activity(request, page.rows)
        return page

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        worker = super().get_object(request, object_id, from_field)
        self._add_activity(request, [worker])
        worker.projects_in_scope, worker.figures = self._projects(request), {}
        # As the API lists accesses.
        accesses = worker.accesses.select_related("project").order_by("project__name")
        worker.accesses_in_scope = scope_of(request).within(accesses, Role.MANAGE_ACCESS)
        return worker

    def _projects(self, request: HttpRequest) -> list[int]:
        """The projects in which the manager sees what workers do."""
        scope = scope_of(request)
        return scope.project_ids() if scope.everywhere else scope.project_ids(Role.MANAGE_ACCESS)

    def _add_activity(self, request: HttpRequest, workers: list[Any]) -> None:
        found = activity([worker.pk for worker in workers], self._projects(request)) if workers else {}
        for worker in workers:
            worker.activity = found.get(worker.pk, Activity())

    # --- Display ---

    @admin.display(description=_("alias"))
    def name(self, worker: Worker) -> SafeString:
        return clipped(worker.alias, short=True)

    @admin.display(description=_("id"))
    def number(self, worker: Worker) -> str:
        return str(worker.pk)

    @admin.display(description=_("state"))
    def state(self, worker: Any) -> SafeString:
        marks = standing(worker.activity, paused=worker.paused)
        return format_html_join("", "{}", ((mark(text, Kind(kind)),) for text, kind in marks))

    @admin.display(description=_("last seen"))
    def seen(self, worker: Any) -> SafeString:
        ago = worker.activity.ago
        if ago is None:
            return format_html("{}", _("long ago, or never"))
        told = _("%(duration)s ago") % {"duration": duration(ago)}
        return format_html('<span title="{}">{}</span>', utc(worker.activity.seen), told)

    @admin.display(description=_("current leases"))
    def leases(self, worker: Any) -> SafeString:
        return link(f"/admin/tasks/task/?worker={worker.pk}", count(worker.activity.leases))

    @admin.display(description=_("closed"))
    def closed(self, worker: Any) -> str:
        return count(worker.activity.closed)

    @admin.display(description=_("registered"))
    def registered(self, worker: Worker) -> SafeString | str:
        return moment(worker.created)

    @admin.display(description=_("24 hours"))
    def figures_of_day(self, worker: Any) -> SafeString | str:
        return self._figures(worker, Period.DAY)

    @admin.display(description=_("all time"))
    def figures_of_all(self, worker: Any) -> SafeString | str:
        return self._figures(worker, Period.ALL)

    def _figures(self, worker: Any, period: Period) -> SafeString | str:
        # A page asks for the value of a field several times.
        if period not in worker.figures:
            worker.figures[period] = figures_table(worker.pk, worker.projects_in_scope, period)
        table: SafeString | str = worker.figures[period]
        return table

    @admin.display(description=_("projects"))
    def access_table(self, worker: Any) -> SafeString:
        some = worker.accesses_in_scope[: LISTED + 1]
        operators = operators_of(worker.pk, [access.project_id for access in some])
        return short_table(
            [
                (
                    isolated(access.project.name),
                    format_html("{} {}", access_words(access), operator_mark(operators.get(access.project_id))),
                )
                for access in some
            ]
        )

    # --- Actions: only for tracker admins, since they affect the worker in every project ---

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
                _("From their next call on, these workers get no work; they may still report the tasks that they hold.")
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

    @action(_("Reclaim leases"), icon="lock_open")
    def release_leases(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> HttpResponse | None:
        scope_of(request).demand_everywhere()
        workers = list(queryset.order_by("alias", "pk"))
        if not self.is_confirmed(request):
            question = _("Every lease of these workers is reclaimed; what they report for it later is ignored.")
            return self._ask_for(request, workers, "release_leases", question)
        number = sum(maintenance.release_leases_of(worker=worker) for worker in workers)
        text = ngettext("%(number)s lease was reclaimed.", "%(number)s leases were reclaimed.", number)
        self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
        return None

    @action(_("Rotate secret"), icon="key", danger=True, in_list=False)
    def rotate_secret(self, request: HttpRequest, queryset: "QuerySet[Worker]") -> HttpResponse | None:
        scope_of(request).demand_everywhere()
        worker = queryset.get()
        if not self.is_confirmed(request):
            question = _("The worker gets a new secret, which is shown only once; the old one stops working at once.")
            return self._ask_for(request, [worker], "rotate_secret", question)
        secret = services.rotate_secret(worker=worker).secret
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": _("New secret"),
            "crumbs": self.crumbs(isolated(worker.alias), str(_("New secret"))),
            "worker": worker,
            "secret": secret,
            "back": self.address("change", worker.pk),
        }
        return TemplateResponse(request, "admin/workers/worker/secret.html", context)

    def _ask_for(self, request: HttpRequest, workers: list[Worker], name: str, question: Any) -> HttpResponse:
        number, listed = len(workers), workers[: LISTED + 1]
        self._add_activity(request, listed)
        touches = [ngettext("%(number)s worker", "%(number)s workers", number) % {"number": count(number)}]
        if number == len(listed):
            leases = sum(worker.activity.leases for worker in listed)  # type: ignore[attr-defined]
            told = ngettext("%(number)s leased task", "%(number)s leased tasks", leases)
            touches.append(told % {"number": count(leases)})
        rows = [(worker_name(one.pk, one.alias), count(one.activity.leases)) for one in listed]  # type: ignore[attr-defined]
        return self.ask(request, name=name, question=question, touches=", ".join(touches), rows=rows)
