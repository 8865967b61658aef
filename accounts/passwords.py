"""How long a password may be. The same everywhere: an account that one door accepts must open at all others."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

SHORTEST_PASSWORD = 8
# Limits the cost of hashing, which grows with the length.
LONGEST_PASSWORD = 1000


class MaximumLengthValidator:
    """For AUTH_PASSWORD_VALIDATORS: asked wherever a password is chosen, by Django's commands as well."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError for a password that is too long."""
        check_length(password)

    def get_help_text(self) -> str:
        return _("Your password can have at most %(longest)s characters.") % {"longest": LONGEST_PASSWORD}


def check_length(password: str | None) -> None:
    """Raise ValidationError for a password that is too long to be hashed."""
    if password is not None and len(password) > LONGEST_PASSWORD:
        raise ValidationError(
            _("This password has %(length)s characters; at most %(longest)s are allowed.")
            % {"length": len(password), "longest": LONGEST_PASSWORD},
            code="password_too_long",
        )
