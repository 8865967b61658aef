"""What the clients know: each request that could change a task, and what was answered, in an SQLite file.

A row is written for each task of each request, once the outcome is known or the request has been given up. The ledger
never asks the tracker's database; the checker compares the two. All times are Unix seconds of this machine's clock,
which is the database's clock, too.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Rows that are kept in memory before they are written together.
BATCH = 2_000

#: Outcomes of requests. UNKNOWN: the answer was lost, or was an error that doesn't tell whether anything was changed.
STORED, DUPLICATE, UPDATED, NOTED, NOT_HELD, REFUSED, UNKNOWN = (
    "stored",
    "duplicate",
    "updated",
    "noted",
    "not held",
    "refused",
    "unknown",
)

#: Outcomes of cancels.
DONE, NOT_THERE = "cancelled", "not found"

#: The kind of the Fault that the database's own log tells of.
CRASH = "crash of the database"

#: Results of releases.
OK, FAIL, SKIP = 0, 1, 2


class Submit(NamedTuple):
    """A task that was sent. `is_unique`: with a hash. `task` is the id that was answered, if any.

    It must not be leased before `delay` seconds have passed.
    """

    recipe: str
    project: int
    is_unique: bool
    sent: float
    answered: float
    outcome: str
    task: int | None
    delay: float = 0.0


class Lease(NamedTuple):
    """A lease that was answered. `ends` is the earliest moment at which it may have expired."""

    task: int
    lease: str
    worker: int
    project: int
    recipe: str
    sent: float
    answered: float
    ends: float


class Release(NamedTuple):
    """A report that was sent: UPDATED, NOTED (a vote), NOT_HELD, REFUSED or UNKNOWN."""

    task: int
    lease: str
    worker: int
    project: int
    result: int
    verification: int
    sent: float
    answered: float
    outcome: str


class Beat(NamedTuple):
    """A heartbeat that was answered: `ends` is the earliest end of the lease from then on, None if it was lost."""

    task: int
    lease: str
    worker: int
    sent: float
    answered: float
    ends: float | None


class Cancel(NamedTuple):
    """A task that was to be cancelled: DONE, NOT_THERE (closed, or gone already), REFUSED or UNKNOWN."""

    task: int
    project: int
    sent: float
    answered: float
    outcome: str


class Sweep(NamedTuple):
    """A manager's call that ends leases ("reclaim") or makes failed tasks ready ("reset") in a whole project."""

    project: int
    action: str
    sent: float
    answered: float


class Fault(NamedTuple):
    """What was done to the tracker. `crashed`: the database may have lost its last leases in this time."""

    kind: str
    detail: str
    began: float
    ended: float
    crashed: bool


class Gap(NamedTuple):
    """A time in which one client waited for an answer: from its request to the first good answer, with all repeats."""

    client: int
    began: float
    ended: float


class Seen(NamedTuple):
    """A closed task that a reader of results has read."""

    project: int
    task: int


Entry = Submit | Lease | Release | Beat | Cancel | Sweep | Fault | Gap | Seen

_KINDS: tuple[type[Entry], ...] = (Submit, Lease, Release, Beat, Cancel, Sweep, Fault, Gap, Seen)

_INDEXES = """
CREATE INDEX IF NOT EXISTS submit_by_task ON submit (task);
CREATE INDEX IF NOT EXISTS submit_by_recipe ON submit (recipe);
CREATE INDEX IF NOT EXISTS lease_by_task ON lease (task);
CREATE INDEX IF NOT EXISTS release_by_task ON release (task);
CREATE INDEX IF NOT EXISTS beat_by_task ON beat (task);
CREATE INDEX IF NOT EXISTS cancel_by_task ON cancel (task);
CREATE INDEX IF NOT EXISTS seen_by_task ON seen (task);
"""


class Ledger:
    """The file, and the entries that have not been written to it yet. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not at once, but by one after the other.
        self._connection = sqlite3.connect(path, check_same_thread=False)
        # It has to survive the tracker's faults, not this machine's.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._waiting: dict[type[Entry], list[Entry]] = {kind: [] for kind in _KINDS}
        for kind in _KINDS:
            self._connection.execute(f"CREATE TABLE {_table(kind)} ({', '.join(kind._fields)})")

    def add(self, *entries: Entry) -> None:
        """Write down what is known now."""
        for entry in entries:
            waiting = self._waiting[type(entry)]
            waiting.append(entry)
            if len(waiting) >= BATCH:
                self._write(type(entry))

    def complete(self) -> None:
        """Write everything, and make it quick to read."""
        for kind in _KINDS:
            self._write(kind)
        self._connection.executescript(_INDEXES)
        self._connection.commit()

    def sql(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Run a statement on what has been written, and return its rows."""
        return self._connection.execute(statement, values)

    def store(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Run a statement for each of the rows."""
        self._connection.executemany(statement, rows)

    def lines(self, task: int | None, recipe: str | None = None) -> list[str]:
        """Everything about a task, for people to read, in the order of time."""
        found = []
        for kind, condition, value in (
            (Submit, "recipe = ?", recipe),
            (Lease, "task = ?", task),
            (Release, "task = ?", task),
            (Beat, "task = ?", task),
            (Cancel, "task = ?", task),
        ):
            if value is not None:
                rows = self._connection.execute(f"SELECT * FROM {_table(kind)} WHERE {condition}", (value,))
                found += [kind(*row) for row in rows]
        found.sort(key=lambda entry: entry.sent)
        return [f"{_table(type(entry))} {json.dumps(entry._asdict())}" for entry in found]

    def close(self) -> None:
        self._connection.commit()
        self._connection.close()

    def _write(self, kind: type[Entry]) -> None:
        places = ", ".join("?" * len(kind._fields))
        self._connection.executemany(f"INSERT INTO {_table(kind)} VALUES ({places})", self._waiting[kind])
        self._waiting[kind] = []


def _table(kind: type[Entry]) -> str:
    return kind.__name__.lower()
