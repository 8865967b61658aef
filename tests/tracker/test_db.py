"""Running statements."""

import pytest

from tracker import db

pytestmark = pytest.mark.django_db

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
def test_array_arrives_as_it_is(kind, values):
    assert db.one(f"SELECT %(values)s::{kind}[]", {"values": db.array(values)}) == (values,)
