"""Operations on managers' accounts."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import User
from tracker import db
from tracker.api.errors import Conflict, Forbidden, InvalidField, NotFound

# Key of an advisory lock: any number that no other advisory lock uses.
FIRST_ACCOUNT_LOCK = 7_310_302


class NameTaken(Conflict):
    """username: this name is taken; choose another."""


class NoSuchManager(NotFound):
    """There is no such manager."""


class NotOnYourself(Forbidden):
    """You can't do this to your own account; ask another tracker admin."""


def register(*, username: str, password: str) -> User:
    """Create an account; the first one becomes tracker admin. Raises InvalidField and NameTaken."""
    user = User(username=User.normalize_username(username), is_staff=True)
    try:
        user.clean_fields(exclude=["password"])
        validate_password(password, user)
    except ValidationError as error:
        field = "username" if hasattr(error, "error_dict") else "password"
        raise InvalidField(field, " ".join(error.messages)) from error
    user.set_password(password)
    try:
        with transaction.atomic():
            # One registration at a time: in an empty database, concurrent ones would each become tracker admin.
            db.one("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": FIRST_ACCOUNT_LOCK})
            user.is_superuser = not User.objects.exists()
            user.save(force_insert=True)
    except IntegrityError as error:
        if "username" in str(error):
            raise NameTaken from error
        raise
    return user


def set_tracker_admin(*, by: User, manager_id: int, tracker_admin: bool) -> None:
    """Promote a manager to tracker admin, or demote it. Raises NoSuchManager and NotOnYourself."""
    if manager_id == by.pk:
        raise NotOnYourself
    if not User.objects.filter(pk=manager_id).update(is_superuser=tracker_admin):
        raise NoSuchManager(f"There is no manager {manager_id}.")


def set_active(*, by: User, manager_id: int, active: bool) -> None:
    """Activate or deactivate a manager. An inactive manager can't log in.

    Either way its sessions end at once, and for good: activating it again revives none, whoever may have them.
    Raises NoSuchManager and NotOnYourself.
    """
    if manager_id == by.pk:
        raise NotOnYourself
    changed = User.objects.filter(pk=manager_id).update(is_active=active, session_epoch=F("session_epoch") + 1)
    if not changed:
        raise NoSuchManager(f"There is no manager {manager_id}.")
