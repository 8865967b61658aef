"""What a manager may see and do in the admin: projects in which it has a role; for tracker admins, everything.

A hidden project needs READ, as everywhere: with other roles alone, it does not appear in the admin.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from projects.access import roles_by_project
from projects.models import Project
from projects.roles import Role
from tracker.api.errors import Forbidden

Row = TypeVar("Row", bound=Model)

# Contained in every set of roles: any role in a project is enough to see it.
ANY = Role(0)


class Scope(NamedTuple):
    """A manager's roles by project id. For a tracker admin, `everywhere` is True and `roles` is empty."""

    everywhere: bool
    roles: Mapping[int, Role]

    def allows(self, project_id: int, role: Role) -> bool:
        """Whether the manager has this role in the project."""
        return self.everywhere or role in self.roles.get(project_id, Role(0))

    def project_ids(self, role: Role = ANY) -> list[int]:
        """The ids of the projects in which the manager has this role, by default any role."""
        if self.everywhere:
            return list(Project.objects.order_by("pk").values_list("pk", flat=True))
        return sorted(project_id for project_id, roles in self.roles.items() if role in roles)

    def has_anywhere(self, role: Role) -> bool:
        """Whether there is a project in which the manager has this role."""
        return self.everywhere or any(role in roles for roles in self.roles.values())

    def within(self, rows: "QuerySet[Row]", role: Role = ANY, *, project: str = "project") -> "QuerySet[Row]":
        """The rows whose project is in scope; `project` is the lookup from a row to its project."""
        if self.everywhere:
            return rows
        return rows.filter(**{f"{project}__in": self.project_ids(role)})

    def demand_everywhere(self) -> None:
        """Raise Forbidden unless this is a tracker admin."""
        if not self.everywhere:
            raise Forbidden(_("Only a tracker admin may do this."))

    def demand(self, role: Role, project_ids: Iterable[int]) -> None:
        """Raise Forbidden, naming the projects that lack it, unless the manager has this role in each of them."""
        lacking = [project_id for project_id in project_ids if not self.allows(project_id, role)]
        if not lacking:
            return
        known = Project.objects.filter(pk__in=[one for one in lacking if one in self.roles])
        names = ", ".join(known.order_by("name").values_list("name", flat=True)[:5])
        raise Forbidden(
            _("Nothing was changed. This requires the role %(role)s, which you don't have in: %(projects)s.")
            % {"role": role.name, "projects": names or _("these projects")}
        )


def _seen(roles: dict[int, Role]) -> dict[int, Role]:
    """Without the projects that are hidden from a manager with these roles."""
    unread = [project_id for project_id, held in roles.items() if Role.READ not in held]
    hidden = set(Project.objects.filter(pk__in=unread, hidden=True).values_list("pk", flat=True)) if unread else set()
    return {project_id: held for project_id, held in roles.items() if project_id not in hidden}


def scope_of(request: HttpRequest) -> Scope:
    """The scope of the signed-in manager, looked up once per request."""
    holder: Any = request
    if not hasattr(holder, "tracker_scope"):
        manager = request.user
        if not isinstance(manager, User) or not manager.is_active:
            holder.tracker_scope = Scope(False, {})
        elif manager.is_tracker_admin:
            holder.tracker_scope = Scope(True, {})
        else:
            holder.tracker_scope = Scope(False, _seen(roles_by_project(manager)))
    scope: Scope = holder.tracker_scope
    return scope
