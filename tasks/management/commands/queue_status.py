from typing import Any

from django.core.management.base import CommandParser
from rich.table import Table

from tasks.queries import project_statuses
from tracker.commands import OperatorCommand
from tracker.text import json_line, visible


class Command(OperatorCommand):
    help = "Prints how many tasks each project has in each state."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object per line, one for each project")

    def handle(self, *args: Any, **options: Any) -> None:
        statuses = project_statuses()
        if options["json"]:
            for status in statuses:
                self.stdout.write(json_line(status._asdict()))
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("id", "project"):
            table.add_column(heading)
        for heading in ("ready", "awaiting", "leased", "delayed", "failed", "closed", "oldest"):
            table.add_column(heading, justify="right")
        for one in statuses:
            name = f"{visible(one.name)} (paused)" if one.paused else visible(one.name)
            numbers = (one.ready, one.awaiting, one.leased, one.delayed, one.failed, one.closed)
            counts = (f"{number:,}" for number in numbers)
            table.add_row(str(one.id), name, *counts, _age(one.oldest))
        if not statuses:
            self.stdout.write("No projects yet; create_project makes one.")
            return
        self.write_table(table)


def _age(seconds: float | None) -> str:
    """A duration in its largest unit, such as "3 h"."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
