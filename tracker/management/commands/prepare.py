from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from tracker.postgres.base import uses_embedded_server
from tracker.serve import preparation, welcome
from tracker.serve.supervisor import follow_supervisor


class Command(BaseCommand):
    help = (
        "Prepares the database and the static files for this version, as `serve` does whenever it starts or reloads: "
        "checks the settings, applies migrations, collects the static files."
    )
    # The checks take a fraction of a second; `make lint` and the tests run them.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check-code", action="store_true", help="first see whether all of the code can be loaded")

    def handle(self, *args: Any, **options: Any) -> None:
        follow_supervisor()
        if options["check_code"]:
            preparation.load_code()
        try:
            preparation.check_database_version()
            is_new = preparation.migrate()
        except preparation.NotPrepared as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            if uses_embedded_server():
                raise
            reason = " ".join(str(error).split())
            raise CommandError(f"DATABASE_URL: the database can't be used: {reason}") from error
        if is_new and uses_embedded_server():
            welcome.create_sample_project()
        preparation.collect_static_files()
