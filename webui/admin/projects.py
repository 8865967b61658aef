"""Projects in the admin: their settings, roles and secrets, and operations on all their tasks."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects import services
from projects.access import known_chains, managers_of, require, set_roles, with_roles
from projects.models import Backoff, Project
from projects.roles import Role
from tasks import maintenance
from tasks.queries.overview import COUNTED_IN_LISTS, Overview, overview, overviews, sparklines
from tracker.api.errors import ApiError
from tracker.keyset import Cursor
from tracker.text import isolated
from webui.admin import project_secrets
from webui.admin.base import TrackerModelAdmin, action
from webui.admin.cells import LISTED, clipped
from webui.admin.filters import Choice
from webui.admin.paging import Page
from webui.admin.project_forms import FIELDSETS, ProjectAdminForm, RolesForm
from webui.pages.common import named_like
from webui.pages.forms.projects import BACKOFFS
from webui.query import id_in, text_of
from webui.scope import scope_of
from webui.templatetags import formatting
from webui.templatetags.formatting import count, duration, rate, sparkline

# Before an action, up to this number of tasks is counted in each state; beyond it, the last snapshot is used.
COUNTED_BEFORE_ACTION = 100_000

ROLE_LABELS = {
    Role.READ: _("sees it even if it is hidden"),
    Role.EDIT: _("changes its settings, pauses it"),
    Role.MANAGE_ACCESS: _("lets workers and managers in"),
    Role.SECRET: _("reads and changes its secrets"),
    Role.MAINTENANCE: _("resets, reclaims and deletes its tasks"),
}


class KindFilter(Choice):
    title, parameter_name = _("kind"), "kind"
    options = (
        ("public", _("public")),
        ("private", _("private")),
        ("hidden", _("hidden")),
        ("paused", _("paused")),
        ("running", _("not paused")),
    )

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Project]") -> "QuerySet[Project]":
        conditions: dict[str, dict[str, bool]] = {
            "public": {"public": True},
            "private": {"public": False, "hidden": False},
            "hidden": {"hidden": True},
            "paused": {"paused": True},
            "running": {"paused": False},
        }
        return queryset.filter(**conditions.get(text_of(request, "kind"), {}))


@admin.register(Project)
class ProjectAdmin(TrackerModelAdmin):
    plural, new = _("Projects"), _("New project")
    keys = ("name",)
    list_display = (
        "title",
        "marks",
        "ready",
        "leased",
        "delayed",
        "awaiting",
        "failed",
        "oldest",
        "speed",
        "eta",
        "last_day",
    )
    list_display_links = ("title",)
    list_filter = (KindFilter,)
    search_fields = ("name",)
    search_help_text = _("Name, repository or id")
    actions = page_actions = ("pause", "resume", "reset_failed", "reclaim", "hard_reset")
    form = ProjectAdminForm
    fieldsets = FIELDSETS
    change_form_template = "admin/projects/project/change_form.html"

    # --- Permissions ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        scope = scope_of(request)
        return scope.has_anywhere(Role.EDIT) if obj is None else scope.allows(obj.pk, Role.EDIT)

    def project_of(self, obj: Project) -> int:
        return obj.pk

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Project]":
        # Don't load the secrets: neither the list nor the settings page shows them.
        return scope_of(request).within(Project.objects.defer("secret", "webhook_secret"), project="pk")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        project = super().get_object(request, object_id, from_field)
        project.known_chains = known_chains(request.user, [project])
        return project

    def search(self, queryset: "QuerySet[Project]", text: str) -> "QuerySet[Project]":
        return queryset.filter(named_like(text) | Q(git_repo__icontains=text) | Q(pk=id_in(text) or 0))

    def find_page(self, request: HttpRequest, queryset: "QuerySet[Project]", after: Cursor | None, limit: int) -> Page:
        page = super().find_page(request, queryset, after, limit)
        standing, lines = overviews(page.rows), sparklines(page.rows)
        for project in page.rows:
            project.overview, project.line = standing.get(project.pk, Overview()), lines.get(project.pk, [])
        return page

    # --- Display ---

    @admin.display(description=_("name"))
    def title(self, project: Project) -> SafeString:
        return clipped(project.name, short=True)

    @admin.display(description=_("kind"))
    def marks(self, project: Project) -> SafeString:
        return formatting.marks(project)

    @admin.display(description=_("ready"))
    def ready(self, project: Any) -> SafeString:
        return _number(project, "ready")

    @admin.display(description=_("leased"))
    def leased(self, project: Any) -> SafeString:
        return _number(project, "leased")

    @admin.display(description=_("delayed"))
    def delayed(self, project: Any) -> SafeString:
        return _number(project, "delayed")

    @admin.display(description=_("awaiting"))
    def awaiting(self, project: Any) -> SafeString:
        return _number(project, "awaiting")

    @admin.display(description=_("failed"))
    def failed(self, project: Any) -> SafeString:
        return _number(project, "failed", kind="bad" if project.overview.failed else "")

    @admin.display(description=_("longest wait"))
    def oldest(self, project: Any) -> str:
        return duration(project.overview.oldest_seconds)

    @admin.display(description=_("rate"))
    def speed(self, project: Any) -> str:
        return rate(project.overview.rate)

    @admin.display(description=_("done in"))
    def eta(self, project: Any) -> str:
        return duration(project.overview.eta_seconds)

    @admin.display(description=_("last 24 hours"))
    def last_day(self, project: Any) -> SafeString | str:
        return sparkline(project.line, gettext("closed in each of the last 24 hours")) if project.line else "–"

    @admin.display(description=_("closed tasks go on to"))
    def chain_id_only(self, project: Project) -> str:
        return f"#{project.chain_id}" if project.chain_id in project.known_chains else "–"  # type: ignore[attr-defined]

    @admin.display(description=_("Delay after a failed attempt"))
    def backoff(self, project: Project) -> str:
        return str(BACKOFFS[Backoff(project.retry_backoff)])

    # --- Settings ---

    readonly_fields = ("chain_id_only", "backoff")

    def get_fieldsets(self, request: HttpRequest, obj: Project | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        # The read-only page would show the name of the chain's project even to a manager who may not see it.
        told = {"chain": "chain_id_only", "retry_backoff": "backoff"}
        return [
            (title, {"fields": tuple(told.get(name, name) for name in options["fields"])})
            for title, options in self.fieldsets
        ]

    def get_form(self, request: HttpRequest, obj: Project | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        # Give the form the manager, and the error that the services raised at the first attempt.
        return type("Form", (form,), {"manager": request.user, "refused": getattr(request, "tracker_refused", None)})

    def changeform_view(
        self, request: Any, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        except ApiError as error:
            # The transaction was rolled back. Now the form fails with the services' error and is shown again.
            request.tracker_refused = error
            response = super().changeform_view(request, object_id, form_url, extra_context)
        return response

    def save_model(self, request: Any, obj: Project, form: Any, change: bool) -> None:
        """Pass the changes to the services, which enforce the rules. Raises their errors."""
        if change:
            # Load the project again: the form has already changed `obj`.
            project = require(request.user, obj.pk, Role.EDIT)
            services.update_project(manager=request.user, project=project, **form.changes(form.changed_data))
        else:
            obj.pk = services.create_project_for(manager=request.user, **form.changes()).pk
            obj._state.adding = False

    def response_add(self, request: HttpRequest, obj: Project, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, _("The project was created; you have every role in it."), messages.SUCCESS)
        return HttpResponseRedirect(self.address("change", obj.pk))

    def response_change(self, request: HttpRequest, obj: Project) -> HttpResponse:
        self.message_user(request, _("The settings were saved."), messages.SUCCESS)
        stay = "_continue" in request.POST
        return HttpResponseRedirect(self.address("change", obj.pk) if stay else self.address("changelist"))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Disabled: nobody would read the admin's own log."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Disabled, like log_addition."""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **options: Any
    ) -> HttpResponse:
        context["show_save_and_add_another"] = False
        if obj is not None:
            scope = scope_of(request)
            managers = managers_of(obj)
            context |= {
                "standing": overview(obj),
                "line": sparklines([obj]).get(obj.pk, []),
                "marks": self.marks(obj),
                "managers": [
                    (manager, RolesForm(initial={str(role.name): role in held for role in Role}, auto_id=False))
                    for manager, held in with_roles(managers[:LISTED], obj)
                ],
                "managers_cut": LISTED if managers[LISTED:].exists() else None,
                "new_manager": RolesForm(auto_id=False),
                "known_managers": User.objects.filter(is_active=True).order_by("username")[:200],
                "role_labels": [(role.name, label) for role, label in ROLE_LABELS.items()],
                "may_set_roles": scope.allows(obj.pk, Role.MANAGE_ACCESS),
                "may_see_secrets": scope.allows(obj.pk, Role.SECRET),
                "hook_address": request.build_absolute_uri("/git/receivehook"),
            }
        return super().render_change_form(request, context, *args, obj=obj, **options)

    # --- Roles and secrets ---

    def get_urls(self) -> list[URLPattern]:
        pages = {"roles": self.roles_view, "secrets": self.secrets_view}
        return [
            *(
                path(f"<int:project_id>/{part}/", self.admin_site.admin_view(view), name=f"projects_project_{part}")
                for part, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def roles_view(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """/admin/projects/project/7/roles/: set a manager's roles."""
        project = self.get_object(request, str(project_id))
        if request.method != "POST":
            return HttpResponseRedirect(self.address("change", project_id))
        form = RolesForm(request.POST)
        try:
            require(request.user, project_id, Role.MANAGE_ACCESS)
            manager = User.objects.called(request.POST.get("manager", "").replace("\0", ""))
            if manager is None:
                self.message_user(request, _("There is no manager with this name."), messages.ERROR)
            elif form.is_valid():
                set_roles(manager=manager, project=project, roles=form.roles())
                text = _("The roles of %(manager)s were set.") % {"manager": isolated(manager.username)}
                self.message_user(request, text, messages.SUCCESS)
        except ApiError as error:
            self.message_user(request, _(str(error)), messages.ERROR)
        # Managers who have revoked their own last role don't see the project any more.
        seen = self.get_queryset(request).filter(pk=project_id).exists() and _still_in(request, project_id)
        return HttpResponseRedirect(self.address("change", project_id) if seen else self.address("changelist"))

    def secrets_view(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """/admin/projects/project/7/secrets/: show, change or rotate them; requires the role SECRET."""
        if not self.get_queryset(request).filter(pk=project_id).exists():
            raise Http404
        project = require(request.user, project_id, Role.SECRET)
        return project_secrets.answer(self, request, project)

    # --- Actions ---

    def is_useful(self, name: str, obj: Project) -> bool:
        return {"pause": not obj.paused, "resume": obj.paused}.get(name, True)

    @action(_("Pause"), icon="pause", role=Role.EDIT)
    def pause(self, request: HttpRequest, queryset: "QuerySet[Project]") -> HttpResponse | None:
        return self._set_paused(request, queryset, paused=True)

    @action(_("Resume"), icon="play_arrow", role=Role.EDIT)
    def resume(self, request: HttpRequest, queryset: "QuerySet[Project]") -> HttpResponse | None:
        return self._set_paused(request, queryset, paused=False)

    def _set_paused(self, request: HttpRequest, queryset: "QuerySet[Project]", *, paused: bool) -> HttpResponse | None:
        projects = self._meant(request, queryset, Role.EDIT)
        if self.is_confirmed(request):
            for project in projects:
                services.update_project(manager=_manager(request), project=project, paused=paused)
            number = len(projects)
            text = (
                ngettext("%(number)s project was paused.", "%(number)s projects were paused.", number)
                if paused
                else ngettext("%(number)s project was resumed.", "%(number)s projects were resumed.", number)
            )
            self.message_user(request, text % {"number": number}, messages.SUCCESS)
            return None
        question = (
            _("No more tasks of these projects are leased; results of leased tasks are still accepted.")
            if paused
            else _("Workers may lease from these projects again.")
        )
        return self._ask_for(request, projects, "pause" if paused else "resume", question, ("ready",))

    @action(_("Reset failed tasks"), icon="replay", role=Role.MAINTENANCE)
    def reset_failed(self, request: HttpRequest, queryset: "QuerySet[Project]") -> HttpResponse | None:
        question = _(
            "Every failed task goes back to the queue, with its retries reset to 0. Where workers disagreed, their "
            "votes are dropped."
        )
        return self._maintain(request, queryset, "reset_failed", question, ("failed",), maintenance.reset_failed)

    @action(_("Reclaim leases"), icon="lock_open", role=Role.MAINTENANCE)
    def reclaim(self, request: HttpRequest, queryset: "QuerySet[Project]") -> HttpResponse | None:
        question = _("Every lease is reclaimed; what the workers report for it later is ignored.")
        return self._maintain(request, queryset, "reclaim", question, ("leased",), maintenance.reclaim_leased)

    @action(_("Hard reset"), icon="delete_forever", role=Role.MAINTENANCE, danger=True)
    def hard_reset(self, request: HttpRequest, queryset: "QuerySet[Project]") -> HttpResponse | None:
        question = _("Every task is deleted for good: it neither counts as closed nor goes on along a chain.")
        states = ("ready", "leased", "delayed", "failed")
        return self._maintain(request, queryset, "hard_reset", question, states, maintenance.delete_all)

    def _maintain(
        self,
        request: HttpRequest,
        queryset: "QuerySet[Project]",
        name: str,
        question: Any,
        states: tuple[str, ...],
        run: Callable[..., int],
    ) -> HttpResponse | None:
        """Ask for confirmation with the number of tasks, or run the operation. Raises Forbidden before any change."""
        projects = self._meant(request, queryset, Role.MAINTENANCE)
        if not self.is_confirmed(request):
            return self._ask_for(request, projects, name, question, states)
        number = sum(run(project=project) for project in projects)
        text = ngettext("%(number)s task was changed.", "%(number)s tasks were changed.", number)
        self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
        return None

    def _meant(self, request: HttpRequest, queryset: "QuerySet[Project]", role: Role) -> list[Project]:
        """The selected projects. Raises Forbidden unless the manager has the role in all of them."""
        projects = list(queryset.order_by("name"))
        scope_of(request).demand(role, [project.pk for project in projects])
        return projects

    def _ask_for(
        self, request: HttpRequest, projects: list[Project], name: str, question: Any, states: tuple[str, ...]
    ) -> HttpResponse:
        counted = max(COUNTED_BEFORE_ACTION // max(len(projects), 1), COUNTED_IN_LISTS)
        standing = overviews(projects, counted=counted)
        numbers = {project.pk: sum(getattr(standing[project.pk], state) for state in states) for project in projects}
        total = sum(numbers.values())
        about = any(one.approximate for one in standing.values())
        text = (
            ngettext("about %(number)s task", "about %(number)s tasks", total)
            if about
            else ngettext("%(number)s task", "%(number)s tasks", total)
        )
        return self.ask(
            request,
            name=name,
            question=question,
            touches=text % {"number": count(total)},
            rows=[(isolated(project.name), count(numbers[project.pk])) for project in projects],
        )


def _number(project: Any, state: str, *, kind: str = "") -> SafeString:
    """The number of tasks in this state, as a link to their list."""
    number = getattr(project.overview, state)
    about = "≈ " if project.overview.approximate and number >= COUNTED_IN_LISTS else ""
    address = f"/admin/tasks/task/?project={project.pk}&state={state}"
    return format_html('<a class="{}" href="{}">{}{}</a>', kind, address, about, count(number))


def _manager(request: HttpRequest) -> User:
    manager = request.user
    assert isinstance(manager, User)  # noqa: S101
    return manager


def _still_in(request: HttpRequest, project_id: int) -> bool:
    """Whether the project is still in scope now that its roles have changed."""
    del request.tracker_scope  # type: ignore[attr-defined]
    scope = scope_of(request)
    return scope.everywhere or project_id in scope.roles
