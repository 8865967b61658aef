"""The base class of the management commands for operators."""

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from psycopg2 import Error as DriverError
from rich.console import Console
from rich.table import Table

from tracker.api.errors import ApiError
from tracker.console import database_problem
from tracker.postgres.server import EmbeddedServerError
from tracker.text import visible


class OperatorCommand(BaseCommand):
    """A command that reports errors in one line: a service's error ends it with exit code 1 and no traceback.

    Text of strangers, such as names, must be printed as tracker.text.visible shows it.
    """

    # The checks take a fraction of a second; `make lint` and the tests run them.
    requires_system_checks: Any = []
    # Arguments that are paths, which need not be UTF-8.
    paths: ClassVar[tuple[str, ...]] = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            self._check_arguments(options)
            return super().execute(*args, **options)
        except CommandError as error:
            raise CommandError(visible(str(error)), returncode=error.returncode) from error
        except ApiError as error:
            raise CommandError(visible(str(error))) from error
        except ValidationError as error:
            raise CommandError(visible(_one_line(error))) from error
        except EmbeddedServerError:
            # Its message includes the end of the server's log; see tracker.console.
            raise
        except (Error, DriverError) as error:
            problem = database_problem(error)
            if problem is None:
                raise
            raise CommandError(problem) from error

    def write_table(self, table: Table) -> None:
        """Print a table of plain texts. Without a terminal, it is so wide that nothing is cut off."""
        # Texts are printed as they are, not as markup.
        console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else 1000)
        with console.capture() as printed:
            console.print(table)
        self.stdout.write("\n".join(line.rstrip() for line in printed.get().splitlines()))

    def _check_arguments(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            if isinstance(value, str) and name not in self.paths:
                try:
                    value.encode()
                except UnicodeEncodeError as error:
                    raise CommandError(f"{name}: is not valid UTF-8: {value}") from error


def _one_line(error: ValidationError) -> str:
    if hasattr(error, "error_dict"):
        return " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
    return " ".join(error.messages)
