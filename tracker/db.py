"""Runs the SQL statements of the apps: one round trip, plain tuples, no ORM."""

import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from psycopg2 import extensions
from psycopg2.errors import DeadlockDetected

Values = dict[str, Any]


def is_away(error: BaseException | None) -> bool:
    """Whether the connection to the database has failed, rather than the statement."""
    # Django closes the cursor of a query that is read in parts outside its translation of the driver's errors.
    if isinstance(error, (OperationalError, InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)):
        return True
    # The driver raises its bare base class when the connection is lost without a reason; Django raises its own with it
    # as the cause, and also without one, for other reasons.
    cause = error.__cause__ if type(error) is DatabaseError else error
    return type(cause) is psycopg2.DatabaseError


def ensure_alive() -> None:
    """Close the connection if the database has ended it since its last use, so that the next query opens a new one.

    For calls that bypass Django's own management of connections, which relies on signals around each request.

    The only thing to read from an idle connection is its end. Checking for that costs no round trip, unlike the query
    that Django sends before each request. Retrying a failed query is no alternative, since it may have been executed.
    """
    if connection.connection is None or connection.in_atomic_block:
        return
    connection.health_check_done = True  # type: ignore[attr-defined]
    if connection.errors_occurred:
        # Sends a query, and closes the connection if the query fails.
        connection.close_if_unusable_or_obsolete()
        if connection.connection is None:
            return
    watch = select.poll()
    try:
        watch.register(connection.connection.fileno(), select.POLLIN)
    except (psycopg2.InterfaceError, ValueError):
        # Closed on our side, or given up by the driver, which then has no file descriptor any more.
        connection.close()
        return
    if watch.poll(0):
        connection.close()


class Written:
    """A statement with its parameters as text, as the parameter of a function that runs it.

    The driver quotes twice: each parameter in the text, and the text.
    """

    def __init__(self, statement: str, values: Values) -> None:
        self._statement, self._values = statement, values
        self._quoted: Any = None

    def __conform__(self, protocol: Any) -> "Written | None":
        return self if protocol is extensions.ISQLQuote else None

    def prepare(self, connection: Any) -> None:
        """Called by the driver, with its connection."""
        with connection.cursor() as cursor:
            text = cursor.mogrify(self._statement, self._values)
        self._quoted = extensions.adapt(text.decode(extensions.encodings[connection.encoding]))
        self._quoted.prepare(connection)

    def getquoted(self) -> bytes:
        """Called by the driver."""
        quoted: bytes = self._quoted.getquoted()
        return quoted


def array(values: Iterable[int | str | bytes | memoryview | None]) -> str:
    """An array as a parameter; the statement must cast it to its type, as in %(ids)s::bigint[].

    The driver would write ARRAY[…] with an expression for each element. With a thousand elements, planning that takes
    longer than the statement's actual work.
    """
    written = [
        '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if type(value) is str
        else "NULL"
        if value is None
        else rf'"\\x{value.hex()}"'
        if isinstance(value, (bytes, memoryview))
        else str(int(value))
        for value in values
    ]
    return "{" + ",".join(written) + "}"


def containing(text: str | None) -> str | None:
    """The pattern for LIKE and ILIKE that matches values containing this text; None for None."""
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
    """Like `rows`, but retries once after a deadlock, except within a transaction."""
    try:
        return rows(statement, values)
    except OperationalError as error:
        if not isinstance(error.__cause__, DeadlockDetected) or connection.in_atomic_block:
            raise
    return rows(statement, values)


def affected(statement: str, values: Values | None = None) -> int:
    """Run the statement; returns how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


@contextmanager
def one_moment() -> Iterator[None]:
    """Let all queries read what the database held at the first of them, so that their answers agree. They can't write.

    Within a transaction, which has a moment of its own choice, this does nothing.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
