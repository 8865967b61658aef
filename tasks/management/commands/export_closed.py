import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from projects.lookup import project_named
from tasks.queries import results
from tracker import keyset
from tracker.commands import OperatorCommand
from tracker.text import json_line

BATCH = 1_000

# How long to wait, with --follow, before looking for more.
FOLLOW_SECONDS = 1.0


class Command(OperatorCommand):
    help = (
        "Prints the closed tasks that a project still keeps, in the order of closing, one JSON object per line. "
        "None is missed, however many close meanwhile. Example: manage.py export_closed simulate --follow"
    )

    # Between two looks for more; replaced in tests.
    pause: Callable[[], None] = staticmethod(lambda: time.sleep(FOLLOW_SECONDS))

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name or id")
        parser.add_argument("--follow", action="store_true", help="wait for more, until interrupted")
        parser.add_argument(
            "--after", metavar="CURSOR", help="go on behind this cursor, which /project/results tells as well"
        )
        parser.add_argument(
            "--cursors", action="store_true", help='print a line {"after": CURSOR} after each batch, to go on from'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        after = None if options["after"] is None else keyset.decode(options["after"])
        pages = results.lines(
            project.pk,
            after=after,
            limit=BATCH,
            most_bytes=settings.MAX_BATCH_BYTES,
            ended=self._wait if options["follow"] else None,
        )
        for page, cursor in pages:
            for result in page:
                self.stdout.write(json_line(result.content()))
            if options["cursors"]:
                self.stdout.write(json_line({"after": keyset.encode(cursor)}))
            self.stdout.flush()

    def _wait(self) -> bool:
        self.pause()
        return False
