"""Sessions in the database."""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    """Django's session store, which would query the database with any key that a cookie holds."""

    def _validate_session_key(self, key: Any) -> bool:
        # The query would fail: PostgreSQL's text type can't hold NUL.
        return bool(super()._validate_session_key(key)) and "\0" not in key  # type: ignore[misc]
