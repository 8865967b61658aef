"""What a run has shown, as tables."""

from collections import Counter
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from chaos.checker import KINDS, Breach
from chaos.client import TOLD
from chaos.ledger import Ledger

# Answers that are right under faults; anything else is an error of the tracker.
FORESEEN = {"200", "409", "429", "503", *TOLD.values()}
# Of the breaches, so many are told with their tasks' lines in the ledger.
MOST_TOLD = 20


class Run(NamedTuple):
    """The outcome of a run. `seconds` are those of the load."""

    seconds: float
    ledger: Ledger
    statuses: Counter[str]
    cuts: int
    breaches: list[Breach]

    @property
    def unforeseen(self) -> list[str]:
        """Answers that no fault excuses."""
        return [status for status in self.statuses if status not in FORESEEN]

    @property
    def is_good(self) -> bool:
        return not self.breaches and not self.unforeseen


def show(run: Run, console: Console) -> None:
    """Print everything."""
    console.print(_table("Tasks", ("", "tasks"), _tasks(run)))
    console.print(_table("Answers", ("", "requests"), _answers(run)))
    console.print(_table("Faults", ("at", "fault", "of", "longest wait after it"), _faults(run)))
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
        ("releases", count("SELECT count(*) FROM release")),
        ("releases with an unknown outcome", count("SELECT count(*) FROM release WHERE outcome = 'unknown'")),
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
        ("connections cut", f"{run.cuts:,}"),
        ("per second", f"{total / run.seconds:,.0f}"),
    ]


def _faults(run: Run) -> list[tuple[str, ...]]:
    (began,) = next(run.ledger.sql("SELECT coalesce(min(sent), 0) FROM submit"))
    rows = run.ledger.sql(
        """
        SELECT fault.began, fault.kind, fault.detail,
               (SELECT max(gap.ended - gap.began) FROM gap
                WHERE gap.ended > fault.began AND gap.began < fault.ended + 1)
        FROM fault ORDER BY began
        """
    )
    return [
        (f"{at - began:.1f} s", kind, detail, "–" if outage is None else f"{outage:.1f} s")
        for at, kind, detail, outage in rows
    ]


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    return table
