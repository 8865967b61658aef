"""Checking and setting managers' roles in projects.

A role is an object permission on Project, stored by django-guardian.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from guardian.core import ObjectPermissionChecker
from guardian.shortcuts import assign_perm, remove_perm

from projects.lookup import NoSuchProject
from projects.models import Project, ProjectGroupObjectPermission, ProjectUserObjectPermission
from projects.roles import CODENAMES, Role, roles_from
from tracker.api.errors import Forbidden

if TYPE_CHECKING:
    from django.db.models import QuerySet

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
    raise Forbidden(
        f"This requires the role {role.name} in project {project_id}; a manager with MANAGE_ACCESS there can give it."
    )


def known_chains(viewer: "Viewer", projects: Iterable[Project]) -> set[int]:
    """The ids of the next projects in the chains of these projects, as far as the viewer may know of them."""
    chains = {project.chain_id for project in projects if project.chain_id is not None}
    if not chains:
        return set()
    return set(Project.objects.visible_to(viewer).filter(pk__in=chains).values_list("pk", flat=True))


def set_roles(*, manager: "User", project: Project, roles: Role) -> None:
    """Give the manager these roles in the project, and revoke all others that it was given directly."""
    with transaction.atomic():
        for role, codename in CODENAMES.items():
            change = assign_perm if role in roles else remove_perm
            change(f"projects.{codename}", manager, project)


def managers_of(project: Project) -> "QuerySet[User]":
    """The managers who were given roles in the project, directly or through a group, by name.

    Tracker admins have every role without having been given it.
    """
    own = ProjectUserObjectPermission.objects.filter(content_object=project).values("user")
    groups = ProjectGroupObjectPermission.objects.filter(content_object=project, group__user__isnull=False)
    given = own.union(groups.values("group__user"))
    return get_user_model().objects.filter(pk__in=given).order_by("username")


def with_roles(managers: "Iterable[User]", project: Project) -> list[tuple["User", Role]]:
    """Each of these managers with the roles that it was given in the project, directly or through a group."""
    found = list(managers)
    own = ProjectUserObjectPermission.objects.filter(content_object=project, user__in=found)
    groups = ProjectGroupObjectPermission.objects.filter(content_object=project, group__user__in=found)
    pairs = own.values_list("user", "permission__codename").union(
        groups.values_list("group__user", "permission__codename")
    )
    roles: dict[int, Role] = {}
    for manager, codename in pairs:
        roles[manager] = roles.get(manager, Role(0)) | roles_from([codename])
    return [(manager, roles.get(manager.pk, Role(0))) for manager in found]


def given_roles(manager: "User", project: Project) -> Role:
    """The roles that the manager was given directly: those that `set_roles` changes."""
    own = ProjectUserObjectPermission.objects.filter(content_object=project, user=manager)
    return roles_from(own.values_list("permission__codename", flat=True))
