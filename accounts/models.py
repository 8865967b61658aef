"""Managers: the people who run projects."""

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models.functions import Lower

SHORTEST_NAME, LONGEST_NAME = 3, 16


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

    def get_full_name(self) -> str:
        """The username, since there are no first and last names."""
        return self.username

    get_short_name = get_full_name
