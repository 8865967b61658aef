"""Operations on projects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from projects.access import known_chains, require, set_roles
from projects.lookup import NoSuchProject
from projects.models import Project, random_secret
from projects.roles import ALL_ROLES, Role
from tracker import db, names
from tracker.api.errors import Conflict, Forbidden, InvalidField

if TYPE_CHECKING:
    from accounts.models import User

# Key of an advisory lock: any number that no other advisory lock uses.
CHAIN_LOCK = 7_310_303


class NameTaken(Conflict):
    """name: a project with this name already exists; choose another."""


class OnlyTrackerAdmins(Forbidden):
    """public: only a tracker admin can change whether a project is public."""


def create_project(*, name: str, **settings: Any) -> Project:
    """Create a project; `settings` are further columns of Project.

    Raises Django's ValidationError, whose message_dict names the columns, and NameTaken.
    """
    project = Project(name=name, **settings)
    project.full_clean(validate_unique=False, validate_constraints=False)
    if project.public and project.hidden:
        raise ValidationError({"hidden": "A project can't be public and hidden at once."})
    with _named_constraints():
        project.save(force_insert=True)
    return project


def create_project_for(*, manager: "User", chain_id: int = 0, **settings: Any) -> Project:
    """Create a project on behalf of a manager, who gets every role in it.

    `chain_id` 0 means no chain. Raises OnlyTrackerAdmins, InvalidField, NameTaken, and for the chain NoSuchProject and
    Forbidden.
    """
    if settings.get("public") and not manager.is_tracker_admin:
        raise OnlyTrackerAdmins
    # No chain leads to a new project yet, so there can't be a cycle.
    chain = _next_in_chain(manager, chain_id) if chain_id else None
    with transaction.atomic():
        with _named_fields():
            project = create_project(chain=chain, **settings)
        set_roles(manager=manager, project=project, roles=ALL_ROLES)
    return project


def update_project(*, manager: "User", project: Project, chain_id: int | None = None, **changes: Any) -> None:
    """Change columns of a project; those not named stay as they are.

    `chain_id` 0 clears the chain, None leaves it. 0 also leaves one whose project the manager may not see: it reads as
    0, and comes back with everything else that was read. Raises OnlyTrackerAdmins, InvalidField, NameTaken, and for the
    chain NoSuchProject and Forbidden.
    """
    if changes.get("public", project.public) != project.public and not manager.is_tracker_admin:
        raise OnlyTrackerAdmins
    if chain_id:
        _next_in_chain(manager, chain_id)
    if changes.get("name") == project.name:
        # Clients send all fields. A stored name stays valid, whatever the rules for new ones are.
        del changes["name"]
    if changes.get("motd") == project.motd:
        del changes["motd"]
    _check_columns(changes)
    if chain_id == 0 and project.chain_id and not known_chains(manager, [project]):
        chain_id = None
    if "name" in changes:
        stored = project.name_key
        changes["name_key"] = names.key_for(changes["name"], stored, is_new=stored is None)
    if chain_id is not None:
        changes["chain_id"] = chain_id or None
    with transaction.atomic():
        if chain_id:
            # One change of chains at a time: two concurrent changes, each harmless alone, could form a cycle.
            db.one("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": CHAIN_LOCK})
            if db.one(LEADS_TO, {"project": project.pk, "chain": chain_id}) is not None:
                raise InvalidField(
                    "chain", f"project {chain_id} leads back to this one; a chain must not form a cycle."
                )
        with _named_constraints():
            Project.objects.filter(pk=project.pk).update(**changes)


def _next_in_chain(manager: "User", project_id: int) -> Project:
    """The project that a manager wants as the next one. Raises NoSuchProject and Forbidden, which name the field."""
    try:
        return require(manager, project_id, Role.EDIT)
    except (NoSuchProject, Forbidden) as error:
        problem = str(error)
        raise type(error)(f"chain: {problem[0].lower()}{problem[1:]}") from error


def rotate_webhook_secret(*, project: Project) -> str:
    """Give the project a new webhook secret and return it. Pushes signed with the old one are refused from now on."""
    secret = random_secret()
    set_webhook_secret(project=project, secret=secret)
    return secret


def set_webhook_secret(*, project: Project, secret: str) -> None:
    """Set the secret that signs pushes, without white space at its ends.

    It is pasted from elsewhere, often with the end of its line, and a header can't have any there.
    """
    Project.objects.filter(pk=project.pk).update(webhook_secret=secret.strip())


def _check_columns(changes: dict[str, Any]) -> None:
    """Raise InvalidField for a value that the column's validators reject."""
    others = [field.name for field in Project._meta.fields if field.name not in changes]
    with _named_fields():
        Project(**changes).clean_fields(exclude=others)


@contextmanager
def _named_fields() -> Iterator[None]:
    """Turn ValidationError into InvalidField."""
    try:
        yield
    except ValidationError as error:
        field, problems = next(iter(error.message_dict.items()))
        raise InvalidField(field, " ".join(problems)) from error


@contextmanager
def _named_constraints() -> Iterator[None]:
    """Turn constraint violations into API errors."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        text = str(error)
        if "project_name_unique" in text or "project_name_key_unique" in text:
            raise NameTaken from error
        if "project_not_public_and_hidden" in text:
            raise InvalidField("hidden", "a project can't be public and hidden at once.") from error
        if "chain_id" in text:
            raise InvalidField("chain", "this project has just been deleted.") from error
        raise


# Whether the chain from one project leads to another. UNION, unlike UNION ALL, also terminates in a cycle.
LEADS_TO = """
WITH RECURSIVE ahead AS (
    SELECT id, chain_id FROM projects_project WHERE id = %(chain)s
    UNION
    SELECT following.id, following.chain_id
    FROM ahead JOIN projects_project AS following ON following.id = ahead.chain_id
)
SELECT id FROM ahead WHERE id = %(project)s
"""
