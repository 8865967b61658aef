"""Managers: the people who run projects."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A manager. `is_superuser` makes a tracker admin, who has every role in every project."""

    # A manager is a name and a password; people are known to each other by the name.
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    is_superuser = models.BooleanField("tracker admin", default=False)

    @property
    def is_tracker_admin(self) -> bool:
        """Whether this manager may do everything, everywhere."""
        return self.is_active and self.is_superuser
