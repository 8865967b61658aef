"""Tasks that are not closed, in the admin: search, pages and actions."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from projects.models import Project
from projects.roles import Role
from tasks import maintenance
from tasks.fingerprints import fingerprint_in
from tasks.fingerprints import text_of as text_of_fingerprint
from tasks.models import Task
from tasks.queries import search
from tasks.queries.search import Criteria, State
from tracker.api.errors import InvalidField
from tracker.api.fields import INT16, INT32, INT64
from tracker.keyset import Cursor
from webui.admin.base import TrackerModelAdmin, action
from webui.admin.cells import clipped, link, project_link, rows_by_id, vote_table, worker_name
from webui.admin.filters import Choice, ProjectFilter, Typed
from webui.admin.paging import Page
from webui.links import failure_address
from webui.query import number_of, sought_tasks, text_of, workers_called
from webui.scope import scope_of
from webui.templatetags.formatting import count as in_words
from webui.templatetags.formatting import duration, moment, state

# Maximum number of characters of a recipe shown in the list.
SHOWN = 300


class StateFilter(Choice):
    title, parameter_name = _("state"), "state"
    options = tuple(State.choices)


class AgeFilter(Choice):
    title, parameter_name = _("age"), "age"
    options = (
        ("younger-3600", _("less than an hour")),
        ("younger-86400", _("less than a day")),
        ("older-3600", _("more than an hour")),
        ("older-86400", _("more than a day")),
        ("older-604800", _("more than a week")),
        ("older-2592000", _("more than 30 days")),
    )


class PriorityFilter(Typed):
    title, parameter_name = _("priority"), "priority"


class WorkerFilter(Typed):
    title, parameter_name = _("worker (id or alias)"), "worker"


class RetriesFilter(Typed):
    title, parameter_name = _("retries (at least)"), "retries"


class FailureFilter(Typed):
    """The tasks that are FAILED for the same, by the fingerprint of their group of failures."""

    title, parameter_name = _("failure (fingerprint)"), "failure"


class PriorityForm(forms.Form):
    priority = forms.IntegerField(label=_("New priority"), min_value=INT16[0], max_value=INT16[1], initial=0)


@admin.register(Task)
class TaskAdmin(TrackerModelAdmin):
    plural = _("Tasks")
    list_display = ("number", "recipe_begin", "project_name", "state", "due", "order", "tries", "holder", "age")
    list_display_links = ("number",)
    list_filter = (ProjectFilter, StateFilter, PriorityFilter, WorkerFilter, AgeFilter, RetriesFilter, FailureFilter)
    search_fields = ("pk",)
    search_help_text = _('Id, hash, or text of the recipe; a number in quotes, "42", is text')
    actions = page_actions = ("retry", "run_now", "release", "set_priority", "delete")
    fieldsets = (
        (None, {"fields": ("project_name", "state", "why", "recipe_whole", "hash", "submitted")}),
        (_("Order and retries"), {"fields": ("order", "tries", "lease_time", "due", "expires")}),
        (_("Lease"), {"fields": ("holder", "leased_at", "leased_until")}),
        (_("Verification"), {"fields": ("needed", "vote_table", "page")}),
    )
    readonly_fields = (
        *("project_name", "state", "recipe_whole", "hash", "order", "tries", "lease_time", "holder", "needed"),
        *("vote_table", "submitted", "leased_at", "leased_until", "why", "due", "expires", "page"),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Task]":
        return scope_of(request).within(Task.objects.select_related("project", "assignee"))

    def criteria(self, request: HttpRequest) -> Criteria:
        """The search criteria in the query string. Raises InvalidField: an invalid filter must not match every task."""
        scope = scope_of(request)
        projects, everywhere = scope.project_ids(), scope.everywhere
        chosen = number_of(request, "project", low=1, high=INT64[1])
        if chosen is not None:
            projects, everywhere = [one for one in projects if one == chosen], False
        state = text_of(request, "state")
        if state and state not in State.values:
            raise InvalidField("state", gettext("is not one of the choices."))
        older, younger = _ages(text_of(request, "age"))
        ids, hash64, text = sought_tasks(text_of(request, "q"))
        return Criteria(
            projects=projects,
            everywhere=everywhere,
            states=(State(state),) if state else (),
            ids=ids,
            hash64=hash64,
            priority=number_of(request, "priority", low=INT16[0], high=INT16[1]),
            workers=workers_called(text_of(request, "worker")),
            older=older,
            younger=younger,
            retries=number_of(request, "retries", low=0, high=INT32[1]),
            text=text,
            failure=_failure_in(text_of(request, "failure")),
        )

    def find_page(self, request: HttpRequest, queryset: "QuerySet[Task]", after: Cursor | None, limit: int) -> Page:
        try:
            found = search.find(self.criteria(request), after=after, limit=limit)
        except InvalidField as error:
            self.message_user(request, str(error), messages.ERROR)
            return Page([])
        columns = (
            *("id", "priority", "status", "retries", "max_retries", "created", "votes", "verification_count"),
            "run_at",
        )
        few = queryset.only(*columns, "project__name", "assignee__alias").annotate(recipe_start=Left("recipe", SHOWN))
        down_to = "" if found.looked is None or found.following is None else str(found.following[1])
        return Page(rows_by_id(few, found.ids), found.following, found.looked, down_to)

    def name_of(self, obj: Task) -> str:
        return gettext("Task %(id)s") % {"id": obj.pk}

    # --- Display ---

    @admin.display(description=_("id"))
    def number(self, task: Task) -> str:
        return str(task.pk)

    @admin.display(description=_("recipe"))
    def recipe_begin(self, task: Any) -> SafeString:
        return clipped(task.recipe_start)

    @admin.display(description=_("recipe"))
    def recipe_whole(self, task: Task) -> SafeString:
        return format_html('<pre class="whole">{}</pre>', task.recipe)

    @admin.display(description=_("project"))
    def project_name(self, task: Task) -> SafeString:
        return project_link(task.project)

    @admin.display(description=_("state"))
    def state(self, task: Task) -> SafeString:
        waiting = task.status != Task.Status.FAILED and any(vote is not None for vote in task.votes)
        return format_html("{}{}", state(_state_of(task)), state(State.AWAITING) if waiting else "")

    @admin.display(description=_("why it failed"))
    def why(self, task: Task) -> SafeString | str:
        if task.failure is None:
            return "–"
        key = text_of_fingerprint(task.failure)
        return link(failure_address(task.project_id, key), key)

    @admin.display(description=_("priority"))
    def order(self, task: Task) -> str:
        return str(task.priority)

    @admin.display(description=_("retries"))
    def tries(self, task: Task) -> str:
        return f"{task.retries} / {task.max_retries}"

    @admin.display(description=_("worker"))
    def holder(self, task: Task) -> SafeString:
        return clipped(worker_name(task.assignee_id, task.assignee.alias if task.assignee else None), short=True)

    @admin.display(description=_("age"))
    def age(self, task: Task) -> str:
        return duration(_seconds_since(task.created))

    @admin.display(description=_("submitted"))
    def submitted(self, task: Task) -> SafeString | str:
        return moment(task.created)

    @admin.display(description=_("leased at"))
    def leased_at(self, task: Task) -> SafeString | str:
        return moment(task.assign_time)

    @admin.display(description=_("leased until"))
    def leased_until(self, task: Task) -> SafeString | str:
        return moment(task.lease_expires)

    @admin.display(description=_("ready at"))
    def due(self, task: Task) -> SafeString | str:
        return moment(task.run_at)

    @admin.display(description=_("expires at"))
    def expires(self, task: Task) -> SafeString | str:
        return moment(task.expires_at)

    @admin.display(description=_("hash"))
    def hash(self, task: Task) -> str:
        return "–" if task.hash64 is None else str(task.hash64)

    @admin.display(description=_("lease duration"))
    def lease_time(self, task: Task) -> str:
        return duration(task.max_assign_time or task.project.lease_seconds)

    @admin.display(description=_("workers that have to agree"))
    def needed(self, task: Task) -> str:
        return str(max(task.verification_count, 1))

    @admin.display(description=_("verified so far"))
    def vote_table(self, task: Task) -> SafeString:
        return vote_table(task.voters, task.votes)

    @admin.display(description=_("accept a result"))
    def page(self, task: Task) -> SafeString:
        if not task.votes:
            return format_html("{}", "–")
        return link(f"/tasks/{task.pk}/", _("On the task's page"))

    # --- Actions ---

    def is_useful(self, name: str, obj: Task) -> bool:
        only = {"retry": State.FAILED, "run_now": State.DELAYED, "release": State.LEASED}
        return name not in only or _state_of(obj) == only[name]

    @action(_("Retry failed tasks"), icon="replay", role=Role.MAINTENANCE)
    def retry(self, request: HttpRequest, queryset: "QuerySet[Task]") -> HttpResponse | None:
        return self._act(
            request,
            queryset,
            name="retry",
            only=State.FAILED,
            question=_(
                "The failed ones among these tasks go back to the queue, with their retries reset to 0. Where workers "
                "disagreed, their votes are dropped."
            ),
            run=maintenance.retry_matching,
        )

    @action(_("Run now"), icon="play_arrow", role=Role.MAINTENANCE)
    def run_now(self, request: HttpRequest, queryset: "QuerySet[Task]") -> HttpResponse | None:
        return self._act(
            request,
            queryset,
            name="run_now",
            only=State.DELAYED,
            question=_("The delayed ones among these tasks are ready at once."),
            run=maintenance.run_now_matching,
        )

    @action(_("Reclaim leases"), icon="lock_open", role=Role.MAINTENANCE)
    def release(self, request: HttpRequest, queryset: "QuerySet[Task]") -> HttpResponse | None:
        return self._act(
            request,
            queryset,
            name="release",
            only=State.LEASED,
            question=_("The leases of these tasks are reclaimed; what their workers report later is ignored."),
            run=maintenance.release_matching,
        )

    @action(_("Change the priority"), icon="low_priority", role=Role.MAINTENANCE)
    def set_priority(self, request: HttpRequest, queryset: "QuerySet[Task]") -> HttpResponse | None:
        form = PriorityForm(request.POST if self.is_confirmed(request) else None)

        def run(criteria: Criteria) -> int:
            return maintenance.set_priority_of_matching(criteria, priority=form.cleaned_data["priority"])

        return self._act(
            request,
            queryset,
            name="set_priority",
            question=_("These tasks get another priority; the highest is leased first."),
            run=run,
            form=form,
        )

    @action(_("Delete tasks"), icon="delete", role=Role.MAINTENANCE, danger=True)
    def delete(self, request: HttpRequest, queryset: "QuerySet[Task]") -> HttpResponse | None:
        return self._act(
            request,
            queryset,
            name="delete",
            question=_("These tasks are deleted for good: they neither count as closed nor go on along a chain."),
            run=maintenance.delete_matching,
        )

    def _act(
        self,
        request: HttpRequest,
        queryset: "QuerySet[Task]",
        *,
        name: str,
        question: Any,
        run: Callable[[Criteria], int],
        only: State | None = None,
        form: forms.Form | None = None,
    ) -> HttpResponse | None:
        """Ask for confirmation with the number of tasks, or run it. Raises InvalidField or Forbidden before that."""
        criteria = self._meant(request, queryset)
        if only is not None and only not in criteria.states:
            criteria = criteria._replace(states=(*criteria.states, only))
        scope_of(request).demand(Role.MAINTENANCE, criteria.projects)
        if self.is_confirmed(request) and (form is None or form.is_valid()):
            number = run(criteria)
            changed = ngettext("%(number)s task was changed.", "%(number)s tasks were changed.", number)
            self.message_user(request, changed % {"number": in_words(number)}, messages.SUCCESS)
            return None
        counted = search.count(criteria)
        return self.ask(
            request,
            name=name,
            question=question,
            touches=_how_many(counted),
            rows=_by_project(counted),
            form=form,
            warning="" if counted.complete else _("Counting was stopped; all matching tasks will be changed."),
        )

    def _meant(self, request: HttpRequest, queryset: "QuerySet[Task]") -> Criteria:
        """The selected tasks: all that match the list's filters, or the checked ones."""
        if request.POST.get("select_across") == "1" and "/act/" not in request.path:
            return self.criteria(request)
        found = dict(queryset.values_list("pk", "project_id"))
        return Criteria(projects=sorted(set(found.values())), ids=list(found))


def _how_many(counted: search.Counted) -> str:
    number = counted.total
    values = {"number": in_words(number)}
    if counted.complete:
        return ngettext("%(number)s task", "%(number)s tasks", number) % values
    return ngettext("at least %(number)s task", "at least %(number)s tasks", number) % values


def _by_project(counted: search.Counted) -> list[tuple[str, str]]:
    """The ten projects with the most matching tasks, each with its number of them."""
    most = sorted(counted.by_project, key=lambda one: -counted.by_project[one])[:10]
    names = dict(Project.objects.filter(pk__in=most).values_list("pk", "name"))
    return [(names[one], in_words(counted.by_project[one])) for one in most if one in names]


def _state_of(task: Task) -> State:
    if task.status == Task.Status.FAILED:
        return State.FAILED
    if task.status == Task.Status.DELAYED:
        return State.DELAYED
    return State.READY if task.assignee_id is None else State.LEASED


def _seconds_since(time: datetime) -> float:
    return (timezone.now() - time).total_seconds()


def _ages(text: str) -> tuple[float | None, float | None]:
    """AgeFilter's choice in seconds: older than, and younger than."""
    if not text:
        return None, None
    if text not in dict(AgeFilter.options):
        raise InvalidField("age", gettext("is not one of the choices."))
    side, _separator, seconds = text.partition("-")
    return (float(seconds), None) if side == "older" else (None, float(seconds))


def _failure_in(text: str) -> int | None:
    """FailureFilter's fingerprint."""
    fingerprint = fingerprint_in(text)
    if text and fingerprint is None:
        raise InvalidField("failure", gettext("must be a fingerprint, 16 hexadecimal digits in lower case."))
    return fingerprint
