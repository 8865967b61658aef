"""The frame of a project's pages: the header, and the tabs that the visitor's roles allow."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from projects.access import is_inside, require, require_inside, roles_of
from projects.lookup import NoSuchProject
from projects.models import Project
from projects.roles import Role


class Tab(NamedTuple):
    """A tab: `part` is the last part of its page's address; `is_current` says whether that page is shown."""

    part: str
    label: str
    is_current: bool


def find_visible(request: HttpRequest, project_id: int) -> Project:
    """The project, if the visitor may see it. Raises NoSuchProject."""
    project = Project.objects.visible_to(request.user).filter(pk=project_id).first()
    if project is None:
        raise NoSuchProject(_("There is no project %(id)s, or you may not see it.") % {"id": project_id})
    return project


def home_of(request: HttpRequest, project: Project, part: str) -> str:
    """Where to redirect after a change: to the dashboard, or to `part` if the project is hidden from the visitor."""
    is_seen = Project.objects.visible_to(request.user).filter(pk=project.pk).exists()
    return f"/projects/{project.pk}/{'' if is_seen else part}"


def find_with(request: HttpRequest, project_id: int, role: Role) -> Project:
    """The project, if the visitor has the role in it. Raises NoSuchProject and Forbidden."""
    return require(request.user, project_id, role)


def find_inside(request: HttpRequest, project_id: int) -> Project:
    """The project, if the visitor may see what workers report of its tasks. Raises NoSuchProject and Forbidden."""
    return require_inside(request.user, project_id)


def project_page(
    request: HttpRequest,
    project: Project,
    template: str,
    part: str,
    content: Mapping[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """A page of a project; `part` is the last part of its address and selects the current tab."""
    roles = roles_of(request.user, project)
    frame = {
        "project": project,
        "tabs": [Tab(to, label, to == part) for to, label in _tabs(request, roles, project)],
        "may_edit": Role.EDIT in roles,
        "may_maintain": Role.MAINTENANCE in roles,
    }
    return render(request, template, frame | dict(content), status=status)


def _tabs(request: HttpRequest, roles: Role, project: Project) -> list[tuple[str, str]]:
    tabs = [
        ("", _("Dashboard"), Role(0)),
        ("tasks/", _("Tasks"), Role.READ),
        *([("failures/", _("Failures"), Role(0))] if is_inside(roles, project) else []),
        ("results/", _("Results"), Role.READ),
        *([("workers/", _("Workers"), Role(0))] if request.user.is_authenticated else []),
        ("start/", _("Getting started"), Role(0)),
        ("permissions/", _("Permissions"), Role.MANAGE_ACCESS),
        ("secrets/", _("Secrets"), Role.SECRET),
        ("console/", _("Console"), Role.MAINTENANCE),
        ("edit/", _("Settings"), Role.EDIT),
    ]
    return [(part, label) for part, label, needed in tabs if needed in roles]
