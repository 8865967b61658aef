"""Managers: the people who run projects."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangosUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from accounts.passwords import check_length
from tracker import names

SHORTEST_NAME, LONGEST_NAME = 3, 16


def check_username(username: str) -> None:
    """Raise ValidationError unless managers may be called so. Accents may be composed or not."""
    name = names.normalized(username)
    problem = names.problem_with(name)
    if problem is not None:
        raise ValidationError(problem)
    UnicodeUsernameValidator()(name)
    MinLengthValidator(SHORTEST_NAME)(name)


class UserManager(DjangosUserManager["User"]):
    """Finds managers by name as people read names (see tracker.names.key_of), and bounds the length of passwords.

    createsuperuser lets its user skip the validators of passwords.
    """

    use_in_migrations = False

    def _create_user_object(self, username: str, email: str | None, password: str | None, **columns: Any) -> "User":
        check_length(password)
        user: User = super()._create_user_object(username, email, password, **columns)  # type: ignore[misc]
        return user

    def called(self, name: str) -> "User | None":
        """The manager with this name or, if there is none, with one that counts as the same."""
        # One query, so that the time does not tell which of the two a name was found by.
        found = self.filter(Q(username=name) | Q(username_key=names.key_of(name)))
        return min(found, key=lambda user: user.username != name, default=None)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Used by Django to log in, and by createsuperuser to see whether a name is free."""
        found = self.called(username or "")
        if found is None:
            raise User.DoesNotExist
        return found


class User(AbstractUser):
    """A manager. `is_superuser` makes a tracker admin, who has every role in every project."""

    username = models.CharField(
        max_length=LONGEST_NAME,
        unique=True,
        validators=[check_username],
        help_text="3 to 16 letters, digits and @/./+/-/_",
    )
    username_key = models.TextField(  # noqa: DJ001
        null=True,
        editable=False,
        help_text="what is compared instead of the name; null: written by a version without keys",
    )
    # Managers go by their username alone.
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    is_superuser = models.BooleanField("tracker admin", default=False)

    session_epoch = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="rises whenever all sessions of the manager are ended"
    )

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = "manager"
        default_permissions = ()
        constraints = [
            # Nobody may impersonate "admin" as "Admin".
            models.UniqueConstraint(fields=["username_key"], name="user_username_key_unique"),
            # For rows without a key.
            models.UniqueConstraint(Lower("username"), name="user_username_unique_in_any_case"),
        ]

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        if update_fields is None or "username" in update_fields:
            self.username_key = names.key_for(self.username, self.username_key, is_new=self._state.adding)
            update_fields = None if update_fields is None else {*update_fields, "username_key"}
        super().save(*args, update_fields=update_fields, **options)

    @property
    def is_tracker_admin(self) -> bool:
        """Whether this manager may do everything, everywhere."""
        return self.is_active and self.is_superuser

    def set_password(self, raw_password: str | None) -> None:
        """Set the password. Raises ValidationError if it is too long."""
        check_length(raw_password)
        super().set_password(raw_password)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must have been begun with to be valid: changes with the password and `session_epoch`."""
        begun: str = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        # Sessions from before there was an epoch stay valid.
        if not self.session_epoch:
            return begun
        return salted_hmac("accounts.session_epoch", f"{begun} {self.session_epoch}", secret=secret).hexdigest()

    def get_full_name(self) -> str:
        """The username, since there are no first and last names."""
        return self.username

    get_short_name = get_full_name
