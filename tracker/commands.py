"""The base class of the management commands for operators."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError

from tracker.api.errors import ApiError


class OperatorCommand(BaseCommand):
    """A command that reports errors in one line: a service's error ends it with exit code 1 and no traceback."""

    # The checks take a fraction of a second; `make lint` and the tests run them.
    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except ApiError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(_one_line(error)) from error
        except ProgrammingError as error:
            if "does not exist" not in str(error):
                raise
            raise CommandError("The database has no tables yet: run `manage.py migrate` first.") from error


def _one_line(error: ValidationError) -> str:
    if hasattr(error, "error_dict"):
        return " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
    return " ".join(error.messages)
