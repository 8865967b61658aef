"""Sessions in the database."""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    """Django's, which would ask the database for whatever a cookie holds."""

    def _validate_session_key(self, key: Any) -> bool:
        # PostgreSQL has no NUL in a text.
        return bool(super()._validate_session_key(key)) and "\0" not in key  # type: ignore[misc]
