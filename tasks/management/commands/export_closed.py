from typing import Any

import orjson
from django.core.management.base import CommandParser

from projects.lookup import project_named
from tasks.models import ClosedTask
from tracker.commands import OperatorCommand


class Command(OperatorCommand):
    help = "Prints a project's closed tasks that are still kept, the oldest first, a JSON object a line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name or id")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        closed = ClosedTask.objects.filter(project=project).order_by("closed", "id")
        for task in closed.values(*_COLUMNS).iterator(chunk_size=2000):
            task |= {name: task[name].timestamp() for name in ("created", "assign_time", "closed")}
            self.stdout.write(orjson.dumps(task).decode())


_COLUMNS = (
    *("id", "recipe", "priority", "retries", "hash64", "verification", "worker_id", "voters", "votes"),
    *("created", "assign_time", "closed"),
)
