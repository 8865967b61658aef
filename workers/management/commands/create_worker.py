from typing import Any

from django.core.management.base import CommandParser

from tracker.commands import OperatorCommand
from tracker.text import visible
from workers.services import create_worker


class Command(OperatorCommand):
    help = (
        "Registers a worker and prints the two headers that identify it, for `curl -H @FILE`. "
        "The secret is shown only once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("alias", nargs="?", default="", help="name to show (default: default_alias)")

    def handle(self, *args: Any, **options: Any) -> None:
        worker, secret = create_worker(alias=options["alias"])
        self.stdout.write(f"X-Worker-ID: {worker.pk}\nX-Secret: {secret}")
        # If the secret can't be written, that is the only thing to report.
        self.stdout.flush()
        self.stderr.write(f'Created worker {worker.pk} "{visible(worker.alias)}".')
