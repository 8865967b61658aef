from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from projects.lookup import project_named
from projects.models import Project
from tasks import maintenance
from tasks.failure_serializers import attempt_content, failure_content
from tasks.fingerprints import fingerprint_in
from tasks.queries import failures, search
from tasks.queries.failures import FailedAttempt, Failure, Seen
from tracker.api.fields import INT16
from tracker.commands import OperatorCommand
from tracker.text import gist, json_line, visible

BATCH = 100

# How many tasks --dry-run counts at most. Whoever runs a command can wait longer than the reader of a page.
MOST_COUNTED = 1_000_000

# How many workers and versions a table names.
NAMED = 2

# The exit code for it.
WRONG_OPTION = 2

# Headings of the tables; those that end with > are of columns with numbers.
_GROUP = ("group", "reason", "attempts>", "failed>", "last seen", "since", "workers", "versions", "message")
_ATTEMPT = ("ended", "task", "worker", "how", "took>", "version", "message")


class Command(OperatorCommand):
    help = (
        "Prints why a project's tasks fail: attempts that failed alike, in groups, the last seen first. With --group, "
        "prints the attempts of one group, or does something with all tasks that are FAILED for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name or id")
        parser.add_argument("--group", metavar="FINGERPRINT", help="only this group, as the table names it")
        parser.add_argument("--limit", type=int, default=50, help="how many groups or attempts (default: %(default)s)")
        parser.add_argument("--json", action="store_true", help="print one JSON object per line")
        deed = parser.add_mutually_exclusive_group()
        deed.add_argument("--retry", action="store_true", help="return the group's failed tasks to the queue")
        deed.add_argument("--delete", action="store_true", help="delete the group's failed tasks")
        deed.add_argument("--priority", type=int, metavar="N", help="set the priority of the group's failed tasks")
        parser.add_argument("--dry-run", action="store_true", help="only say how many tasks that would be")

    def handle(self, *args: Any, **options: Any) -> None:
        acts = options["retry"] or options["delete"] or options["priority"] is not None
        _check(options, acts=acts)
        project = project_named(options["project"])
        if options["group"] is None:
            self._list(project, options["limit"], as_json=options["json"])
            return
        fingerprint = fingerprint_in(options["group"])
        if fingerprint is None:
            raise CommandError("--group: must be a fingerprint as the table shows it, 16 hexadecimal digits.")
        group = failures.get(project.pk, fingerprint)
        if acts:
            self._act(group, options)
        else:
            self._show(group, options["limit"], as_json=options["json"])

    def _list(self, project: Project, limit: int, *, as_json: bool) -> None:
        groups = _groups(project, limit, outputs=as_json)
        if as_json:
            for group in groups:
                self.stdout.write(json_line(failure_content(group, named=failures.KNOWN)))
            return
        table = _table(*_GROUP)
        for group in groups:
            table.add_row(
                group.key,
                group.reason,
                f"{group.total:,}",
                f"{group.failed_tasks:,}{'+' if group.is_cut else ''}",
                _moment(group.last_seen),
                _moment(group.first_seen),
                _some([_alias(worker) for worker in group.workers]) or "–",
                _some([visible(version) or "–" for version in group.versions]),
                _one_line(group.message),
            )
        if table.row_count:
            self.write_table(table)
        else:
            self.stdout.write(f'Nothing has failed in "{visible(project.name)}".')

    def _show(self, group: Failure, limit: int, *, as_json: bool) -> None:
        attempts = _attempts(group, limit)
        if as_json:
            for attempt in attempts:
                self.stdout.write(json_line(attempt_content(attempt)))
            return
        table = _table(*_ATTEMPT)
        for attempt in attempts:
            table.add_row(
                _moment(attempt.ended),
                str(attempt.task_id),
                _alias(attempt.worker) if attempt.worker else "–",
                attempt.outcome.name.lower(),
                "–" if attempt.took is None else f"{attempt.took:,.1f} s",
                visible(attempt.version) or "–",
                _one_line(attempt.message),
            )
        if table.row_count:
            self.write_table(table)
        else:
            self.stdout.write("None of its attempts is kept any more.")

    def _act(self, group: Failure, options: dict[str, Any]) -> None:
        tasks = failures.tasks_of(group.project_id, group.fingerprint)
        if options["dry_run"]:
            counted = search.count(tasks, bound=MOST_COUNTED)
            least = "" if counted.complete else "at least "
            self.stdout.write(f"Would change {least}{_tasks(counted.total)}.")
        elif options["retry"]:
            self.stdout.write(f"Returned {_tasks(maintenance.retry_matching(tasks))} to the queue.")
        elif options["delete"]:
            self.stdout.write(f"Deleted {_tasks(maintenance.delete_matching(tasks))}.")
        else:
            changed = maintenance.set_priority_of_matching(tasks, priority=options["priority"])
            self.stdout.write(f"Changed the priority of {_tasks(changed)}.")


def _check(options: dict[str, Any], *, acts: bool) -> None:
    """Raise CommandError for options that don't go together or are out of range."""
    if acts and options["group"] is None:
        raise CommandError("--group: is missing; --retry, --delete and --priority need it.", returncode=WRONG_OPTION)
    if options["dry_run"] and not acts:
        raise CommandError("--dry-run: goes with --retry, --delete or --priority.", returncode=WRONG_OPTION)
    if acts and options["json"]:
        raise CommandError("--json: goes without --retry, --delete and --priority.", returncode=WRONG_OPTION)
    if options["limit"] < 1:
        raise CommandError("--limit: must be a whole number from 1.", returncode=WRONG_OPTION)
    low, high = INT16
    if options["priority"] is not None and not low <= options["priority"] <= high:
        raise CommandError(f"--priority: must be a whole number from {low} to {high}.", returncode=WRONG_OPTION)


def _groups(project: Project, limit: int, *, outputs: bool) -> Iterator[Failure]:
    after = None
    while limit > 0:
        page = failures.find([project.pk], after=after, limit=min(limit, BATCH), outputs=outputs)
        yield from page.groups
        limit -= len(page.groups)
        after = page.following
        if after is None:
            return


def _attempts(group: Failure, limit: int) -> Iterator[FailedAttempt]:
    after = None
    while limit > 0:
        page = failures.attempts(group.project_id, group.fingerprint, after=after, limit=min(limit, BATCH))
        yield from page.attempts
        limit -= len(page.attempts)
        after = page.following
        if after is None:
            return


def _table(*headings: str) -> Table:
    """A table with these headings."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading.removesuffix(">"), justify="right" if heading.endswith(">") else "left")
    return table


def _tasks(number: int) -> str:
    return f"{number} task" if number == 1 else f"{number} tasks"


def _alias(worker: Seen) -> str:
    return f"deleted worker {worker.id}" if worker.alias is None else f"{visible(worker.alias)} ({worker.id})"


def _some(names: list[str]) -> str:
    """The first of these names, and how many more there are."""
    shown, more = ", ".join(names[:NAMED]), len(names) - NAMED
    if more <= 0:
        return shown
    return f"{shown} and {more} or more" if len(names) >= failures.KNOWN else f"{shown} and {more} more"


def _one_line(message: str | None) -> str:
    return gist(message or "").replace("\n", " ").replace("\t", " ") or "–"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
