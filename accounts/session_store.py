"""Sessions in the database."""

from typing import Any

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from tracker import db


class SessionStore(DatabaseStore):
    """Django's session store, which would query the database with any key that a cookie holds."""

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except UpdateError as error:
            # Django takes every failure for a session that was deleted meanwhile.
            if db.is_away(error.__context__):
                raise error.__context__ from None  # type: ignore[misc]
            raise

    def _validate_session_key(self, key: Any) -> bool:
        # The query would fail: PostgreSQL's text type can't hold NUL.
        return bool(super()._validate_session_key(key)) and "\0" not in key  # type: ignore[misc]
