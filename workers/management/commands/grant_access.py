from typing import Any

from django.core.management.base import CommandError, CommandParser

from projects.lookup import project_named
from tracker.commands import OperatorCommand
from tracker.text import visible
from workers.models import Worker
from workers.services import grant_access


class Command(OperatorCommand):
    help = "Lets a worker lease a project's tasks (--assign), or both submit and lease tasks (--submit)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("worker", type=int, help="the worker's id")
        parser.add_argument("project", help="the project's name or id")
        parser.add_argument("--assign", action="store_true", help="may lease, and read the project's secret")
        parser.add_argument("--submit", action="store_true", help="may submit, and do what --assign allows")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (options["assign"] or options["submit"]):
            raise CommandError("Say what to grant: --assign, --submit or both.")
        project = project_named(options["project"])
        worker = Worker.objects.filter(pk=options["worker"]).first()
        if worker is None:
            raise CommandError(f"There is no worker {options['worker']}.")
        access = grant_access(worker=worker, project=project, assign=options["assign"], submit=options["submit"])
        granted = " and ".join(name for name, given in (("ASSIGN", access.assign), ("SUBMIT", access.submit)) if given)
        alias, name = visible(worker.alias), visible(project.name)
        self.stdout.write(f'Worker {worker.pk} "{alias}" now has {granted} on "{name}".')
