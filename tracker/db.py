"""Running the statements that stand whole in the apps: one round trip, plain tuples, no ORM in between."""

import select
from collections.abc import Iterable
from typing import Any

from django.db import OperationalError, connection
from psycopg2 import InterfaceError
from psycopg2.errors import DeadlockDetected

Values = dict[str, Any]


def ensure_alive() -> None:
    """Let go of a connection that the database has ended since its last use, so that the next query opens a new one.

    For the calls that come past Django's own care for connections, which is by signals around each request.

    An idle connection has nothing to read but its end. Looking for that costs no round trip, as Django's trial query
    before each request does; and a query that may have done its work can't simply be tried again.
    """
    if connection.connection is None or connection.in_atomic_block:
        return
    connection.health_check_done = True  # type: ignore[attr-defined]
    if connection.errors_occurred:
        # Asks it, and closes it if it doesn't answer.
        connection.close_if_unusable_or_obsolete()
        if connection.connection is None:
            return
    watch = select.poll()
    try:
        watch.register(connection.connection.fileno(), select.POLLIN)
    except InterfaceError:
        # It is closed on our side.
        connection.close()
        return
    if watch.poll(0):
        connection.close()


def array(values: Iterable[int | str | None]) -> str:
    """A parameter that is an array; write its type behind it, as in %(ids)s::bigint[].

    The driver would write ARRAY[…] with an expression for each element, which takes longer to plan than what is done
    with a thousand of them.
    """
    written = [
        '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if type(value) is str
        else "NULL"
        if value is None
        else str(int(value))
        for value in values
    ]
    return "{" + ",".join(written) + "}"


def containing(text: str | None) -> str | None:
    """The pattern for LIKE and ILIKE that matches what contains this text; None for None."""
    if text is None:
        return None
    return "%" + text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"


def one(statement: str, values: Values | None = None) -> tuple[Any, ...] | None:
    """The first row of the result; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def rows(statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
    """All rows of the result."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def rows_again(statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
    """As `rows`, and once more if the database has ended the statement since two waited for each other."""
    try:
        return rows(statement, values)
    except OperationalError as error:
        if not isinstance(error.__cause__, DeadlockDetected) or connection.in_atomic_block:
            raise
    return rows(statement, values)


def affected(statement: str, values: Values | None = None) -> int:
    """How many rows the statement changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
