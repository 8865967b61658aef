"""Running SQL statements."""

import json
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from psycopg2.errors import DeadlockDetected

from tracker import db

pytestmark = pytest.mark.django_db


def deadlock():
    error = OperationalError("deadlock detected")
    error.__cause__ = DeadlockDetected()
    return error


@pytest.mark.parametrize(("errors", "raised"), [([deadlock()], 0), ([deadlock()] * 2, 1), ([OperationalError()], 1)])
def test_statement_is_retried_once_after_a_deadlock(monkeypatch, errors, raised):
    left = list(errors)

    def rows(statement, values):
        if left:
            raise left.pop()
        return [(statement,)]

    monkeypatch.setattr(db, "rows", rows)
    monkeypatch.setattr(db, "connection", SimpleNamespace(in_atomic_block=False))
    if raised:
        with pytest.raises(OperationalError):
            db.rows_again("SELECT")
    else:
        assert db.rows_again("SELECT") == [("SELECT",)]
    assert not left


TEXTS = [
    "",
    " ",
    "NULL",
    "null",
    "a,b",
    "{}",
    "{a}",
    '"',
    '""',
    "\\",
    '\\"',
    "'",
    "''",
    "%s",
    "%%",
    "\n\t",
    "ü€😀",
    "a b ",
]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", TEXTS),
        ("text", [*TEXTS, None, "".join(TEXTS)]),
        ("bigint", [0, -1, 2**63 - 1, -(2**63), None]),
        ("int", []),
        ("text", []),
        ("text", ["x" * 100_000]),
    ],
)
def test_array_arrives_unchanged(kind, values):
    assert db.one(f"SELECT %(values)s::{kind}[]", {"values": db.array(values)}) == (values,)


@pytest.mark.django_db
def test_a_statement_as_a_parameter():
    texts = ["it's", "\\", "100% %s %(x)s", "$1 $$", "Ünï 😀", "a\nb", "', '", None]
    values = {f"p{number}": text for number, text in enumerate(texts)} | {"raw": b"\x00\xff'", "number": -(2**63)}
    names = ", ".join(f"%({name})s" for name in values)
    db.affected(
        "CREATE FUNCTION pg_temp.run(_call text, OUT answer text) LANGUAGE plpgsql "
        "AS 'BEGIN EXECUTE _call INTO answer; END'"
    )
    ((answer,),) = db.rows(
        "SELECT pg_temp.run(%(call)s)",
        {"call": db.Written(f"SELECT row_to_json(r) FROM (SELECT * FROM (VALUES ({names})) AS v) AS r", values)},
    )
    assert list(json.loads(answer).values()) == [*texts, "\\x00ff27", -(2**63)]
