"""Why tasks fail: groups of failed attempts, of one project or of all, their attempts, and what to do about them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from projects.access import is_inside, roles_of
from projects.models import Project
from projects.roles import Role
from tasks import maintenance
from tasks.fingerprints import fingerprint_in
from tasks.queries import failures
from tasks.queries.failures import FailedAttempt, Failure, NoSuchFailure, Seen
from tasks.queries.search import Criteria
from tracker import keyset
from tracker.text import gist, readable
from webui.links import failed_tasks_address, failure_address, log_address, task_pages, worker_page
from webui.outcomes import KINDS, REASONS
from webui.pages.common import require_login
from webui.pages.forms.failures import ConfirmForm, PriorityForm
from webui.pages.frame import find_inside, find_with, project_page
from webui.scope import scope_of

GROUPS_PER_PAGE = 50
ATTEMPTS_PER_PAGE = 20

# How many workers and versions a list names, and the page of a group; and how much of an output it shows.
NAMED_IN_LISTS = 2
NAMED = 20
LONGEST_OUTPUT = 4_000
LONGEST_TITLE = 60


class ShownFailure(NamedTuple):
    """A group as a list shows it; `project` is None where all are of one project."""

    group: Failure
    project: Project | None
    address: str
    reason: Promise
    kind: str
    message: str
    workers: list[Seen]
    versions: list[str]

    @property
    def more_workers(self) -> int:
        return len(self.group.workers) - len(self.workers)

    @property
    def are_workers_cut(self) -> bool:
        return len(self.group.workers) >= failures.KNOWN

    @property
    def more_versions(self) -> int:
        return len(self.group.versions) - len(self.versions)


class ShownAttempt(NamedTuple):
    """An attempt of a group; its task has no address if it is not kept any more."""

    attempt: FailedAttempt
    message: str
    output: str
    is_cut: bool
    task: str
    worker: str
    log: str


@require_safe
def project_failures(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/failures/: the groups of a project, those seen last first."""
    project = find_inside(request, project_id)
    return project_page(request, project, "failures/list.html", "failures/", _listed(request, [project.pk]))


@require_safe
def all_failures(request: HttpRequest) -> HttpResponse:
    """/failures/: the same over all projects of the manager."""
    require_login(request)
    projects = scope_of(request).project_ids()
    content = _listed(request, projects, is_mixed=True) | {"has_projects": bool(projects)}
    return render(request, "failures/all.html", content)


@require_safe
def failure(request: HttpRequest, project_id: int, key: str) -> HttpResponse:
    """/projects/7/failures/0f3…/: a group and its attempts, the newest first."""
    project = find_inside(request, project_id)
    group = _found(project, key)
    may_read = Role.READ in roles_of(request.user, project)
    after = _after(request)
    page = failures.attempts(project.pk, group.fingerprint, after=after, limit=ATTEMPTS_PER_PAGE)
    tasks = task_pages(request, {one.task_id for one in page.attempts})
    content = {
        "shown": _shown(group, None),
        "title": (group.message or "").strip().partition("\n")[0][:LONGEST_TITLE],
        "message": readable(group.message or ""),
        "workers": [(one, worker_page(one.id) or "") for one in group.workers[:NAMED]],
        "more_workers": len(group.workers) - NAMED,
        "are_workers_cut": len(group.workers) >= failures.KNOWN,
        "versions": group.versions[:NAMED],
        "more_versions": len(group.versions) - NAMED,
        "failed_tasks": failed_tasks_address(project.pk, group.key) if may_read else "",
        "attempts": [_attempt(one, tasks) for one in page.attempts],
        "older": "" if page.following is None else f"?after={page.following}",
        "is_first_page": after is None,
        "deeds": [(f"{failure_address(project.pk, group.key)}{part}/", deed) for part, deed in DEEDS.items()],
    }
    return project_page(request, project, "failures/failure.html", "failures/", content)


class Deed(NamedTuple):
    """Something to do with all tasks that are FAILED for the same; `form` asks for the arguments of `run`."""

    run: Callable[..., int]
    title: Promise
    explanation: Promise
    icon: str
    form: type[Form] = ConfirmForm
    is_grave: bool = False


DEEDS = {
    "retry": Deed(
        maintenance.retry_matching,
        gettext_lazy("Retry the failed tasks"),
        gettext_lazy(
            "They go back to the queue, with their retries reset to 0. Where workers disagreed, their votes are "
            "dropped."
        ),
        "replay",
    ),
    "priority": Deed(
        maintenance.set_priority_of_matching,
        gettext_lazy("Change the priority"),
        gettext_lazy("They stay failed; once they are retried, those with the highest priority are leased first."),
        "low_priority",
        PriorityForm,
    ),
    "delete": Deed(
        maintenance.delete_matching,
        gettext_lazy("Delete the failed tasks"),
        gettext_lazy("They neither count as closed nor go on along a chain. This can't be undone."),
        "delete",
        is_grave=True,
    ),
}


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, project_id: int, key: str, *, part: str) -> HttpResponse:
    """/projects/7/failures/0f3…/retry/, priority/ and delete/: GET asks for confirmation, POST does it."""
    project = find_with(request, project_id, Role.MAINTENANCE)
    group = _found(project, key)
    may_look = is_inside(roles_of(request.user, project), project)
    back = failure_address(project.pk, key) if may_look else f"/projects/{project.pk}/console/"
    deed = DEEDS[part]
    form = deed.form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        tasks: Criteria = failures.tasks_of(project.pk, group.fingerprint)
        affected = deed.run(tasks, **form.cleaned_data)
        told = ngettext("%(n)s task was changed.", "%(n)s tasks were changed.", affected)
        messages.success(request, told % {"n": affected})
        return HttpResponseRedirect(back)
    content = {
        "deed": deed,
        "form": form,
        "group": group,
        "reason": REASONS[group.reason],
        "message": gist(group.message or "") if may_look else "",
        "back": back,
    }
    status = 400 if form.errors else 200
    return project_page(request, project, "failures/act.html", "failures/", content, status=status)


def _found(project: Project, key: str) -> Failure:
    """The group with this fingerprint. Raises NoSuchFailure."""
    fingerprint = fingerprint_in(key)
    if fingerprint is None:
        raise NoSuchFailure
    return failures.get(project.pk, fingerprint)


def _after(request: HttpRequest) -> int | None:
    """The attempt behind which the page begins; None for the first page. Raises BadCursor."""
    text = request.GET.get("after", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise keyset.BadCursor
    number: int = keyset.values([int(text)], int)[0]
    return number


def _listed(request: HttpRequest, projects: list[int], *, is_mixed: bool = False) -> dict[str, Any]:
    """The content of a list of groups. Raises BadCursor."""
    text = request.GET.get("after", "")
    page = failures.find(projects, after=keyset.decode(text) if text else None, limit=GROUPS_PER_PAGE)
    named = Project.objects.in_bulk({group.project_id for group in page.groups}) if is_mixed else {}
    return {
        "groups": [_shown(group, named.get(group.project_id)) for group in page.groups],
        "is_mixed": is_mixed,
        "is_first_page": not text,
        "older": "" if page.following is None else f"?after={keyset.encode(page.following)}",
    }


def _shown(group: Failure, project: Project | None) -> ShownFailure:
    return ShownFailure(
        group,
        project,
        failure_address(group.project_id, group.key),
        REASONS[group.reason],
        KINDS.get(group.reason, ""),
        gist(group.message or ""),
        group.workers[:NAMED_IN_LISTS],
        group.versions[-NAMED_IN_LISTS:],
    )


def _attempt(attempt: FailedAttempt, tasks: dict[int, str]) -> ShownAttempt:
    output = attempt.output or ""
    return ShownAttempt(
        attempt,
        readable(attempt.message or ""),
        readable(output[:LONGEST_OUTPUT]),
        len(output) > LONGEST_OUTPUT,
        tasks.get(attempt.task_id, ""),
        (worker_page(attempt.worker.id) if attempt.worker else None) or "",
        log_address(task=attempt.task_id),
    )
