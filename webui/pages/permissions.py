"""The page that gives workers access to a project, and managers roles in it."""

import functools
import operator
from typing import NamedTuple

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from projects.access import given_roles, managers_of, set_roles, with_roles
from projects.roles import Role
from tracker.text import isolated
from webui.pages.common import without_nul
from webui.pages.forms.permissions import GrantForm
from webui.pages.frame import find_with, project_page
from workers import services
from workers.models import WorkerAccess
from workers.queries import PENDING

WORKERS_PER_PAGE = 100
MANAGERS_PER_PAGE = 100


class RoleBox(NamedTuple):
    """A checkbox for a role."""

    value: int
    label: str
    explanation: str
    is_held: bool


@require_safe
def permissions(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/permissions/: the workers that have or request access, and the managers with roles."""
    project = find_with(request, project_id, Role.MANAGE_ACCESS)
    accesses = WorkerAccess.objects.filter(project=project).select_related("worker")
    waiting = accesses.filter(PENDING)
    pending = waiting.order_by("asked", "pk")[:WORKERS_PER_PAGE]
    granted = accesses.exclude(assign=False, submit=False).order_by("worker__alias", "pk")
    managers = Paginator(managers_of(project), MANAGERS_PER_PAGE).get_page(request.GET.get("managers"))
    content = {
        "pending": pending,
        "pending_count": waiting.count(),
        "page": Paginator(granted, WORKERS_PER_PAGE).get_page(request.GET.get("page")),
        "managers": [(manager, boxes(roles)) for manager, roles in with_roles(managers.object_list, project)],
        "managers_page": managers,
        "new_boxes": boxes(Role.READ),
        "grant_form": GrantForm(),
    }
    return project_page(request, project, "projects/permissions.html", "permissions/", content)


@require_POST
def decide(request: HttpRequest, project_id: int, worker_id: int, *, accept: bool) -> HttpResponse:
    """/projects/7/permissions/3/accept/ and reject/."""
    project = find_with(request, project_id, Role.MANAGE_ACCESS)
    if accept:
        services.accept_request(project=project, worker_id=worker_id)
        messages.success(request, _("Granted, effective from the worker's next call."))
    else:
        services.reject_request(project=project, worker_id=worker_id)
        messages.success(request, _("Refused, effective from the worker's next call."))
    return HttpResponseRedirect(f"/projects/{project.pk}/permissions/")


@require_POST
def grant(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/permissions/grant/: gives access to a worker that has not asked for it."""
    project = find_with(request, project_id, Role.MANAGE_ACCESS)
    form = GrantForm(request.POST)
    if form.is_valid():
        worker = form.cleaned_data["worker"]
        is_submitter = form.cleaned_data["access"] == "submit"
        services.grant_access(worker=worker, project=project, assign=not is_submitter, submit=is_submitter)
        messages.success(request, _("Granted, effective from the worker's next call."))
    else:
        problems = [str(problem) for found in form.errors.values() for problem in found]
        messages.error(request, " ".join(problems))
    return HttpResponseRedirect(f"/projects/{project.pk}/permissions/")


@require_POST
def roles(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/permissions/roles/: sets one manager's roles."""
    project = find_with(request, project_id, Role.MANAGE_ACCESS)
    name = without_nul(request.POST.get("manager", ""))
    manager = User.objects.called(name)
    if manager is None:
        messages.error(request, _("There is no manager called “%(name)s”.") % {"name": isolated(name[:100])})
    else:
        ticked = request.POST.getlist("role")
        chosen = functools.reduce(operator.or_, (role for role in Role if str(role.value) in ticked), Role(0))
        # Adding a manager who already has roles removes none of them.
        held = given_roles(manager, project) if "add" in request.POST else Role(0)
        set_roles(manager=manager, project=project, roles=held | chosen)
        messages.success(request, _("The roles of %(name)s were saved.") % {"name": isolated(manager.username)})
    return HttpResponseRedirect(f"/projects/{project.pk}/permissions/")


def boxes(held: Role) -> list[RoleBox]:
    """A checkbox for each role; the held ones are checked."""
    explanations = {
        Role.READ: _("sees the project even if it is hidden"),
        Role.EDIT: _("changes its settings, pauses it"),
        Role.MANAGE_ACCESS: _("lets workers and managers in"),
        Role.SECRET: _("reads and changes its secrets"),
        Role.MAINTENANCE: _("submits, resets, reclaims and deletes its tasks"),
    }
    return [RoleBox(role.value, str(role.name), explanations[role], role in held) for role in Role]
