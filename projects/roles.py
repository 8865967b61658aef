"""The roles that a manager can have in a project."""

from collections.abc import Iterable
from enum import IntFlag


class Role(IntFlag):
    """What a manager may do in a project. The API writes a set of roles as the sum of their values."""

    READ = 1
    EDIT = 2
    MANAGE_ACCESS = 4
    SECRET = 8
    MAINTENANCE = 16


ALL_ROLES = Role.READ | Role.EDIT | Role.MANAGE_ACCESS | Role.SECRET | Role.MAINTENANCE

#: The codename of each role's permission on Project, under which django-guardian stores it.
CODENAMES = {
    Role.READ: "read_project",
    Role.EDIT: "edit_project",
    Role.MANAGE_ACCESS: "manage_access_project",
    Role.SECRET: "secret_project",
    Role.MAINTENANCE: "maintain_project",
}


def roles_from(codenames: Iterable[str]) -> Role:
    """The set of roles that these codenames stand for; codenames of other permissions are ignored."""
    found = set(codenames)
    roles = Role(0)
    for role, codename in CODENAMES.items():
        if codename in found:
            roles |= role
    return roles
