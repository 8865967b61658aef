import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from projects.lookup import project_named
from tasks.files import TaskFile
from tasks.queue import BULK_LIMIT, store_many
from tasks.serializers import parse_submit
from tracker.api.errors import BadInput, InvalidField
from tracker.commands import OperatorCommand
from tracker.text import visible


class Command(OperatorCommand):
    help = (
        "Submits tasks from a file or standard input: one recipe per line, or with --jsonl one JSON object per line "
        "with the keys of /task/submit. Blank lines are skipped. All lines are checked before any task is stored. "
        "Rate limits don't apply."
    )
    paths = ("file",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name or id")
        parser.add_argument("file", help="the file, in UTF-8; - for standard input")
        parser.add_argument(
            "--jsonl", action="store_true", help="lines are JSON objects (the default for files called *.jsonl)"
        )
        parser.add_argument("--unique", action="store_true", help="skip recipes that are in the project already")
        parser.add_argument("--batch", type=int, default=1000, help="tasks per transaction (default: %(default)s)")
        for name, text in _DEFAULTS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=0, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["batch"] <= BULK_LIMIT:
            raise CommandError(f"--batch: must be a whole number from 1 to {BULK_LIMIT}.")
        _check_defaults({name: options[name] for name in _DEFAULTS})
        project = project_named(options["project"])
        with _seekable(options["file"]) as source:
            # Read the file twice rather than keep all tasks in memory: files of millions of lines are common.
            tasks = TaskFile(
                source,
                project=project,
                as_json=options["jsonl"] or options["file"].lower().endswith(".jsonl"),
                unique=options["unique"],
                defaults={name: options[name] for name in _DEFAULTS},
            )
            total = _checked(tasks, options["file"])
            created = 0
            with _progress() as progress:
                bar = progress.add_task(visible(project.name), total=total)
                for batch in tasks.batches(options["batch"]):
                    stored = store_many(project=project, tasks=batch)
                    created += sum(not one.duplicate for one in stored)
                    progress.advance(bar, len(batch))
        duplicates = f", {total - created} were there already" if created < total else ""
        self.stdout.write(f'Submitted {created} tasks to "{visible(project.name)}"{duplicates}.')


_DEFAULTS = {
    "priority": "higher first (default: 0)",
    "max_retries": "attempts that a task has, at so many FAILs it is FAILED; 0 and 1: one (default: 0)",
    "max_assign_time": "duration of a lease in seconds, for the whole of a batch (default: the project's)",
    "verification_count": "how many different workers have to agree (default: 1)",
}


def _seekable(name: str) -> IO[bytes]:
    """The file, or a temporary copy of standard input or of a pipe such as <(seq 3). Raises CommandError."""
    if name == "-" and sys.stdin is None:
        raise CommandError("-: standard input is closed.")
    try:
        source: IO[bytes] = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115
        if name != "-" and source.seekable():
            return source
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        shutil.copyfileobj(source, copy)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}.") from error
    return copy


def _checked(tasks: TaskFile, name: str) -> int:
    """Check every line and return the number of tasks. Raises CommandError, naming the first invalid line."""
    try:
        return sum(1 for _ in tasks)
    except BadInput as error:
        raise CommandError(f"{name}, {error}") from error
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}.") from error


def _check_defaults(defaults: dict[str, int]) -> None:
    """Raise CommandError for an option out of range."""
    try:
        parse_submit({**defaults, "project": 1, "recipe": "any"})
    except InvalidField as error:
        raise CommandError(f"--{error.field.replace('_', '-')}: {error.problem}") from error


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On standard error, so that only the result is piped on; disabled unless standard error is a terminal.
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
