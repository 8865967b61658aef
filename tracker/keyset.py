"""Keyset pagination: each page starts after the last row of the previous one, so all pages are equally fast."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

from tracker.api.errors import BadInput

#: Where a page starts: the values of the sort columns in the last row of the previous page.
Cursor = list[Any]


class BadCursor(BadInput):
    """This is no place in the list; open the list from its beginning."""


def encode(cursor: Cursor) -> str:
    """The cursor as text for a query string."""
    text = json.dumps(cursor, separators=(",", ":"), ensure_ascii=False, default=datetime.isoformat)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str) -> Cursor:
    """The cursor that `encode` wrote, whose values the list has yet to check. Raises BadCursor for any other text."""
    try:
        cursor = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise BadCursor from error
    if not isinstance(cursor, list):
        raise BadCursor
    return cursor


def values(cursor: Cursor, *kinds: type) -> list[Any]:
    """The values of a cursor that has to consist of these: int, str, NoneType, or datetime in UTC. Raises BadCursor."""
    if len(cursor) != len(kinds):
        raise BadCursor
    return [_value(one, kind) for one, kind in zip(cursor, kinds, strict=True)]


def _value(value: Any, kind: type) -> Any:
    if kind is datetime:
        return _time(value)
    is_storable = type(value) is kind
    if isinstance(value, str):
        # PostgreSQL's text has neither NUL nor half a surrogate pair.
        is_storable = is_storable and "\0" not in value and _is_unicode(value)
    if type(value) is int:
        is_storable = is_storable and -(2**63) <= value < 2**63
    if not is_storable:
        raise BadCursor
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time(text: Any) -> datetime:
    try:
        # In UTC, so that a year outside of Python's calendar is noticed here.
        return (text if isinstance(text, datetime) else datetime.fromisoformat(text)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadCursor from error
