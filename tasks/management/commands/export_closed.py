from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from projects.lookup import project_named
from projects.models import Project
from tasks.models import ClosedTask
from tracker import db
from tracker.commands import OperatorCommand
from tracker.text import json_line

BATCH = 2_000


class Command(OperatorCommand):
    help = "Prints the closed tasks that a project still keeps, oldest first, one JSON object per line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name or id")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        for task in closed_tasks(project):
            times = {name: task[name].timestamp() for name in ("created", "assign_time", "closed")}
            self.stdout.write(json_line(task | times))


def closed_tasks(project: Project, *, batch: int = BATCH) -> Iterator[dict[str, Any]]:
    """The closed tasks, oldest first. Uses the index closedtask_by_time.

    Reads in batches rather than with one long query. Its snapshot would keep vacuum from removing dead tuples in the
    whole database, and it would need a server-side cursor, which a connection pooler may not keep. Ends at the time
    of the call, since workers may close tasks faster than they are printed. Tasks that are being closed at that
    moment may be missing.
    """
    ((began,),) = db.rows("SELECT clock_timestamp()")
    closed = ClosedTask.objects.filter(project=project, closed__lte=began).order_by("closed", "id").values(*_COLUMNS)
    found = list(closed[:batch])
    while found:
        yield from found
        last = found[-1]
        rest = closed.filter(closed__gte=last["closed"]).exclude(closed=last["closed"], id__lte=last["id"])
        found = list(rest[:batch])


_COLUMNS = (
    *("id", "recipe", "priority", "retries", "hash64", "verification", "worker_id", "voters", "votes"),
    *("created", "assign_time", "closed"),
)
