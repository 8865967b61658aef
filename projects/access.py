"""Checking and setting managers' roles in projects.

A role is an object permission on Project, stored by django-guardian.
"""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from guardian.core import ObjectPermissionChecker
from guardian.shortcuts import assign_perm, remove_perm

from projects.lookup import NoSuchProject
from projects.models import Project, ProjectGroupObjectPermission, ProjectUserObjectPermission
from projects.roles import CODENAMES, Role, roles_from
from tracker.api.errors import Forbidden

if TYPE_CHECKING:
    from accounts.models import User

    Viewer = User | AnonymousUser


def roles_of(viewer: "Viewer", project: Project) -> Role:
    """All roles that the viewer has in the project, directly or through a group; a tracker admin has every role."""
    if not viewer.is_authenticated:
        return Role(0)
    # Use a new checker each time: the one on the user object caches, and a role may have been revoked meanwhile.
    granted = ObjectPermissionChecker(viewer).get_perms(project)
    return roles_from(granted)


def roles_by_project(manager: "User") -> dict[int, Role]:
    """All roles that the manager was given, directly or through a group, by project id."""
    own = ProjectUserObjectPermission.objects.filter(user=manager)
    groups = ProjectGroupObjectPermission.objects.filter(group__user=manager)
    columns = "content_object_id", "permission__codename"
    roles: dict[int, Role] = {}
    for project_id, codename in own.values_list(*columns).union(groups.values_list(*columns)):
        roles[project_id] = roles.get(project_id, Role(0)) | roles_from([codename])
    return roles


def require(viewer: "Viewer", project_id: int, role: Role) -> Project:
    """The project, if the viewer has this role in it.

    Raises Forbidden, or NoSuchProject if the viewer may not even know that the project exists.
    """
    project = Project.objects.filter(pk=project_id).first()
    roles = roles_of(viewer, project) if project else Role(0)
    if project is not None and role in roles:
        return project
    if project is None or (project.hidden and Role.READ not in roles):
        raise NoSuchProject(f"There is no project {project_id}.")
    raise Forbidden(f"This requires the role {role.name} in project {project_id}.")


def set_roles(*, manager: "User", project: Project, roles: Role) -> None:
    """Give the manager these roles in the project, and revoke all others."""
    with transaction.atomic():
        for role, codename in CODENAMES.items():
            change = assign_perm if role in roles else remove_perm
            change(f"projects.{codename}", manager, project)


def managers_of(project: Project) -> list[tuple["User", Role]]:
    """The managers who were given roles in the project directly, not through a group or as tracker admin, by name."""
    held = ProjectUserObjectPermission.objects.filter(content_object=project).select_related("user", "permission")
    roles: dict[User, Role] = {}
    for one in held.order_by("user__username"):
        roles[one.user] = roles.get(one.user, Role(0)) | roles_from([one.permission.codename])
    return list(roles.items())
