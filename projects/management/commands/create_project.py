from typing import Any

from django.core.management.base import CommandParser

from projects.lookup import project_named
from projects.models import LONGEST_LEASE_SECONDS, Backoff, Project
from projects.services import create_project
from tracker.commands import OperatorCommand
from tracker.text import visible


class Command(OperatorCommand):
    help = "Creates a project. It is private unless --public or --hidden is given."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--public", action="store_true", help=_help("public"))
        kind.add_argument("--hidden", action="store_true", help=_help("hidden"))
        parser.add_argument("--paused", action="store_true", help="no task is leased until the project is resumed")
        parser.add_argument("--priority", type=int, default=0, help=_help("priority"))
        parser.add_argument("--clone-url", default="", help=_help("clone_url"))
        parser.add_argument("--git-repo", default="", help=_help("git_repo"))
        parser.add_argument("--code-version", default="", help=_help("version"))
        parser.add_argument("--motd", default="", help="message of the day")
        parser.add_argument("--chain", help="name or id of the project that gets a copy of each closed task")
        parser.add_argument("--assign-rate", type=float, default=0, help=_help("assign_rate"))
        parser.add_argument("--submit-rate", type=float, default=0, help=_help("submit_rate"))
        parser.add_argument("--lease-seconds", type=int, default=3600, help=_help("lease_seconds") + _BATCH)
        parser.add_argument(
            "--max-lease-seconds", type=int, default=LONGEST_LEASE_SECONDS, help=_help("max_lease_seconds") + _DAY
        )
        parser.add_argument("--max-leases", type=int, default=0, help=_help("max_leases"))
        parser.add_argument("--max-expiries", type=int, default=0, help=_help("max_expiries"))
        parser.add_argument(
            "--retry-backoff", choices=Backoff.values, default=Backoff.NONE.value, help=_help("retry_backoff")
        )
        parser.add_argument("--retry-seconds", type=int, default=60, help=_help("retry_seconds"))
        parser.add_argument("--retry-max-seconds", type=int, default=3600, help=_help("retry_max_seconds"))
        parser.add_argument("--retry-jitter", type=int, default=0, metavar="PERCENT", help=_help("retry_jitter"))
        parser.add_argument("--max-votes", type=int, default=0, help=_help("max_votes"))
        parser.add_argument("--ageing-seconds", type=int, default=0, help=_help("ageing_seconds"))
        parser.add_argument("--retention-days", type=int, default=7, help=_help("retention_days"))

    def handle(self, *args: Any, **options: Any) -> None:
        settings = {name: options[name] for name in _SAME_NAMES}
        chain = project_named(options["chain"]) if options["chain"] is not None else None
        project = create_project(version=options["code_version"], chain=chain, **settings)
        self.stdout.write(f'Created project {project.pk} "{visible(project.name)}".')


_BATCH = "; longer than a worker needs for all tasks that it leases at once (default: 3600)"

_DAY = f" (default: {LONGEST_LEASE_SECONDS})"

_SAME_NAMES = (
    *("name", "public", "hidden", "paused", "priority", "clone_url", "git_repo", "motd", "assign_rate", "submit_rate"),
    *(
        "lease_seconds",
        "max_lease_seconds",
        "max_leases",
        "max_expiries",
        "retry_backoff",
        "retry_seconds",
        "retry_max_seconds",
    ),
    *("retry_jitter", "max_votes", "ageing_seconds", "retention_days"),
)


def _help(field: str) -> str:
    return str(Project._meta.get_field(field).help_text)  # type: ignore[union-attr]
