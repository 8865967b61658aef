"""What the tracker has stored, copied from its database into the ledger's file, where the checker compares the two."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from chaos.ledger import Ledger

#: Runs a statement on the tracker's database and returns the rows.
Sql = Callable[[str, dict[str, Any]], list[tuple[Any, ...]]]

BATCH = 50_000

_TABLES = """
CREATE TABLE open_task (id PRIMARY KEY, project, recipe, status, retries, is_leased, is_unique, created);
CREATE TABLE closed_task (id PRIMARY KEY, project, recipe, worker, verification, is_unique, created, closed);
CREATE TABLE vote (task, worker, verification);
CREATE TABLE attempt (id PRIMARY KEY, task, worker, lease, outcome);
CREATE INDEX open_by_recipe ON open_task (recipe);
CREATE INDEX closed_by_recipe ON closed_task (recipe);
CREATE INDEX vote_by_task ON vote (task);
CREATE INDEX attempt_by_task ON attempt (task);
"""

_OPEN = """
SELECT id, project_id, recipe, status, retries, assignee_id IS NOT NULL, hash64 IS NOT NULL,
       extract(epoch FROM created)::float8, voters, votes
FROM tasks_task WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""

_CLOSED = """
SELECT id, project_id, recipe, worker_id, verification, hash64 IS NOT NULL,
       extract(epoch FROM created)::float8, extract(epoch FROM closed)::float8, voters, votes
FROM tasks_closedtask WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""

_ATTEMPTS = """
SELECT id, task_id, worker_id, lease::text, outcome FROM tasks_attempt
WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""


def copy(sql: Sql, ledger: Ledger) -> None:
    """Copy tasks, closed tasks, attempts and votes, those that closed a task included."""
    for statement in _TABLES.split(";"):
        ledger.sql(statement)
    for table, statement, columns in (("open_task", _OPEN, 8), ("closed_task", _CLOSED, 8), ("attempt", _ATTEMPTS, 5)):
        after = 0
        while rows := sql(statement, {"after": after, "limit": BATCH}):
            after = rows[-1][0]
            places = ", ".join("?" * columns)
            ledger.store(f"INSERT INTO {table} VALUES ({places})", [row[:columns] for row in rows])
            if table != "attempt":
                ledger.store("INSERT INTO vote VALUES (?, ?, ?)", list(_votes(rows)))
    ledger.sql("INSERT INTO vote SELECT id, worker, verification FROM closed_task")


def _votes(rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[int, int, int]]:
    for task, *_, voters, votes in rows:
        for worker, vote in zip(_array(voters), _array(votes), strict=True):
            if vote is not None:
                yield task, worker, vote


def _array(value: Any) -> list[Any]:
    return json.loads(value) if isinstance(value, str) else list(value)
