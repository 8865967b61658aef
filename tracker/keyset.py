"""Keyset pagination: each page starts after the last row of the previous one, so all pages are equally fast."""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

#: Where a page starts: the values of the sort columns in the last row of the previous page.
Cursor = list[Any]


def encode(cursor: Cursor) -> str:
    """The cursor as text for a query string."""
    text = json.dumps(cursor, separators=(",", ":"), default=datetime.isoformat)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str) -> Cursor | None:
    """The cursor that `encode` wrote; None for any other text."""
    try:
        cursor = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        return None
    plain = isinstance(cursor, list) and all(_is_plain(value) for value in cursor)
    return cursor if plain else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    return value is None or (type(value) is int and -(2**63) <= value < 2**63)
