"""Managers: the people who run projects."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangosUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from accounts.passwords import check_length

SHORTEST_NAME, LONGEST_NAME = 3, 16


class UserManager(DjangosUserManager["User"]):
    """Django's, with a maximum length for passwords. createsuperuser lets its user skip the validators."""

    use_in_migrations = False

    def _create_user_object(self, username: str, email: str | None, password: str | None, **columns: Any) -> "User":
        check_length(password)
        user: User = super()._create_user_object(username, email, password, **columns)  # type: ignore[misc]
        return user


class User(AbstractUser):
    """A manager. `is_superuser` makes a tracker admin, who has every role in every project."""

    username = models.CharField(
        max_length=LONGEST_NAME,
        unique=True,
        validators=[UnicodeUsernameValidator(), MinLengthValidator(SHORTEST_NAME)],
        help_text="3 to 16 letters, digits and @/./+/-/_",
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
            models.UniqueConstraint(Lower("username"), name="user_username_unique_in_any_case"),
        ]

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
