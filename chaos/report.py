"""What a run has shown, as tables."""

import bisect
import statistics
from collections import Counter
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from chaos.checker import KINDS, Breach
from chaos.client import SHORTEST_GAP, TOLD
from chaos.ledger import CRASH, Ledger

# Answers that are right under faults; anything else is an error of the tracker.
FORESEEN = {"200", "409", "429", "503", *TOLD.values()}
# A request that is under way when a fault begins was sent at most so long before.
UNDER_WAY_SECONDS = 0.3
# Of the breaches, so many are told with their tasks' lines in the ledger.
MOST_TOLD = 20


class Run(NamedTuple):
    """The outcome of a run. `seconds` are those of the load; `repeated` requests were answered when they came again."""

    seconds: float
    ledger: Ledger
    statuses: Counter[str]
    cuts: int
    breaches: list[Breach]
    repeated: int = 0

    @property
    def unforeseen(self) -> list[str]:
        """Answers that no fault excuses."""
        return [status for status in self.statuses if status not in FORESEEN]

    @property
    def is_good(self) -> bool:
        return not self.breaches and not self.unforeseen


def show(run: Run, console: Console) -> None:
    """Print everything."""
    console.print(_table("Faults", ("at", "fault", "of", "longest wait"), _faults(run)))
    console.print(_table("Kinds of faults", ("", "times", "median of the longest waits", "longest wait"), _kinds(run)))
    console.print(_table("Answers", ("", "requests"), _answers(run)))
    console.print(_table("Tasks", ("", "tasks"), _tasks(run)))
    longest = next(run.ledger.sql("SELECT coalesce(max(ended - began), 0) FROM gap"))[0]
    console.print(f"The longest wait of a client for an answer, repeats included: {longest:.1f} s")
    for breach in run.breaches[:MOST_TOLD]:
        of = f" (task {breach.task})" if breach.task is not None else ""
        console.print(f"{breach.kind}{of}: {breach.text}", markup=False, highlight=False)
        for line in run.ledger.lines(breach.task, breach.recipe):
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    if len(run.breaches) > MOST_TOLD:
        console.print(f"… and {len(run.breaches) - MOST_TOLD:,} more")
    for status in run.unforeseen:
        console.print(f"{run.statuses[status]:,} requests were answered {status}, which is an error of the tracker.")


def _tasks(run: Run) -> list[tuple[str, ...]]:
    def count(statement: str) -> str:
        return f"{next(run.ledger.sql(statement))[0]:,}"

    found = Counter(breach.kind for breach in run.breaches)
    return [
        ("submitted and acknowledged", count("SELECT count(DISTINCT task) FROM submit WHERE outcome = 'stored'")),
        ("submits with an unknown outcome", count("SELECT count(*) FROM submit WHERE outcome = 'unknown'")),
        ("leases", count("SELECT count(*) FROM lease")),
        ("leases extended", count("SELECT count(*) FROM beat WHERE ends IS NOT NULL")),
        ("releases", count("SELECT count(*) FROM release")),
        ("releases with an unknown outcome", count("SELECT count(*) FROM release WHERE outcome = 'unknown'")),
        ("cancelled", count("SELECT count(DISTINCT task) FROM cancel WHERE outcome = 'cancelled'")),
        ("submitted with a delay", count("SELECT count(*) FROM submit WHERE outcome = 'stored' AND delay > 0")),
        ("closed, copies in a chain included", count("SELECT count(*) FROM closed_task")),
        ("failed", count("SELECT count(*) FROM open_task WHERE status = 2")),
        ("still open", count("SELECT count(*) FROM open_task WHERE status <> 2")),
        *((kind, f"{found[kind]:,}") for kind in KINDS),
    ]


def _answers(run: Run) -> list[tuple[str, ...]]:
    rows = [(status, f"{count:,}") for status, count in sorted(run.statuses.items())]
    total = run.statuses.total()
    return [
        *rows,
        ("all", f"{total:,}"),
        ("repeated under their key", f"{run.repeated:,}"),
        ("connections cut", f"{run.cuts:,}"),
        ("per second", f"{total / run.seconds:,.0f}"),
    ]


def _faults(run: Run) -> list[tuple[str, ...]]:
    (began,) = next(run.ledger.sql("SELECT coalesce(min(sent), 0) FROM submit"))
    return [
        (f"{at - began:.1f} s", kind, detail, "" if wait is None else _seconds(wait))
        for at, kind, detail, wait in _outages(run)
    ]


def _kinds(run: Run) -> list[tuple[str, ...]]:
    waits: dict[str, list[float]] = {}
    for _, kind, _, wait in _outages(run):
        if wait is not None:
            waits.setdefault(kind, []).append(wait)
    return [
        (kind, str(len(found)), _seconds(statistics.median(found)), _seconds(max(found)))
        for kind, found in sorted(waits.items())
    ]


def _outages(run: Run) -> list[tuple[float, str, str, float | None]]:
    """Each fault with its time, and the longest wait of a client for an answer that began after it, before the next.

    A crash of the database is the consequence of another fault, and has none.
    """
    faults = list(run.ledger.sql("SELECT began, kind, detail FROM fault ORDER BY began"))
    causes = [began for began, kind, _ in faults if kind != CRASH]
    longest = dict.fromkeys(causes, 0.0)
    for began, ended in run.ledger.sql("SELECT began, ended FROM gap"):
        # A request that was under way was sent a moment before.
        position = bisect.bisect(causes, began + UNDER_WAY_SECONDS)
        if position:
            cause = causes[position - 1]
            longest[cause] = max(longest[cause], ended - began)
    return [(began, kind, detail, longest.get(began)) for began, kind, detail in faults]


def _seconds(wait: float) -> str:
    return f"{wait:.1f} s" if wait else f"below {SHORTEST_GAP:g} s"


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    return table
