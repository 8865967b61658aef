import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from projects.lookup import project_named
from tasks.queue import BULK_LIMIT, NewTask, submit_many
from tasks.serializers import hash_of, parse_submit
from tracker.api.errors import BadInput
from tracker.commands import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Submits tasks from a file or standard input: a recipe a line, or with --jsonl a JSON object a line with the "
        "keys of /task/submit. All lines are checked before the first is stored. Rate limits don't apply."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name or id")
        parser.add_argument("file", help="the file, - for standard input")
        parser.add_argument(
            "--jsonl", action="store_true", help="lines are JSON objects (the default for files called *.jsonl)"
        )
        parser.add_argument("--unique", action="store_true", help="skip recipes that are in the project already")
        parser.add_argument("--batch", type=int, default=1000, help="tasks stored at a time (default: %(default)s)")
        for name, text in _DEFAULTS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=0, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["batch"] <= BULK_LIMIT:
            raise CommandError(f"--batch: must be a whole number from 1 to {BULK_LIMIT}.")
        project = project_named(options["project"])
        with _seekable(options["file"]) as source:
            # Twice over the lines, not once with all of them in memory: files of millions are ordinary.
            total = sum(1 for _ in _tasks(source, options))
            source.seek(0)
            created = 0
            with _progress() as progress:
                bar = progress.add_task(project.name, total=total)
                for batch in _batches(_tasks(source, options), options["batch"]):
                    stored = submit_many(project=project, tasks=batch, limited=False)
                    created += sum(not one.duplicate for one in stored)
                    progress.advance(bar, len(batch))
        duplicates = f", {total - created} were there already" if created < total else ""
        self.stdout.write(f'Submitted {created} tasks to "{project.name}"{duplicates}.')


_DEFAULTS = {
    "priority": "higher first (default: 0)",
    "max_retries": "how many FAILs make a task FAILED (default: 0, the first)",
    "max_assign_time": "seconds that a lease lasts (default: the project's)",
    "verification_count": "how many different workers have to agree (default: 1)",
}


def _seekable(name: str) -> IO[bytes]:
    """The file, or a copy of standard input. Raises CommandError."""
    if name == "-":
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.seek(0)
        return copy
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}.") from error


def _tasks(source: IO[bytes], options: dict[str, Any]) -> Iterator[NewTask]:
    """The tasks in the file; empty lines are passed over. Raises CommandError, naming the line."""
    as_json = options["jsonl"] or options["file"].endswith(".jsonl")
    defaults = {name: options[name] for name in _DEFAULTS}
    for number, raw in enumerate(source, start=1):
        line = raw.rstrip(b"\r\n")
        if not line:
            continue
        try:
            body = orjson.loads(line) if as_json else {"recipe": line.decode()}
            if not isinstance(body, dict):
                raise BadInput("is not a JSON object.")
            _, task = parse_submit({**defaults, **body, "project": 1})
        except (BadInput, ValueError) as error:
            raise CommandError(f"{options['file']}, line {number}: {error}") from error
        yield task._replace(hash64=hash_of(task.recipe)) if options["unique"] and task.hash64 is None else task


def _batches(tasks: Iterator[NewTask], size: int) -> Iterator[list[NewTask]]:
    batch: list[NewTask] = []
    for task in tasks:
        batch.append(task)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On standard error, so that the outcome alone can be piped on; silent where that is no terminal.
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
