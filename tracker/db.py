"""Running the statements that stand whole in the apps: one round trip, plain tuples, no ORM in between."""

from typing import Any

from django.db import connection

Values = dict[str, Any]


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


def affected(statement: str, values: Values | None = None) -> int:
    """How many rows the statement changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
