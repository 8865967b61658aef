"""Counters in the database, shared by all processes and machines without a Redis server."""

from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from tracker import db


class DatabaseCounters(BaseCache):
    """A Django cache backend that holds only whole numbers, in the unlogged table of tracker.models.Counter.

    Every call is one statement on one row, so concurrent increments all count. Expiry uses the database's clock.
    """

    def __init__(self, location: str = "", params: dict[str, Any] | None = None) -> None:
        super().__init__(params or {})

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        # An expired row counts as absent.
        return (
            self._run(
                """
            INSERT INTO tracker_counter AS old (key, value, expires)
            VALUES (%(key)s, %(value)s, now() + make_interval(secs => %(timeout)s))
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires
            WHERE old.expires <= now()
            RETURNING true
            """,
                key,
                version,
                value=_number(value),
                timeout=self._seconds(timeout),
            )
            is not None
        )

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._run(
            """
            INSERT INTO tracker_counter (key, value, expires)
            VALUES (%(key)s, %(value)s, now() + make_interval(secs => %(timeout)s))
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires
            RETURNING true
            """,
            key,
            version,
            value=_number(value),
            timeout=self._seconds(timeout),
        )

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        row = self._run(
            "SELECT value FROM tracker_counter WHERE key = %(key)s AND (expires IS NULL OR expires > now())",
            key,
            version,
        )
        return default if row is None else row[0]

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        row = self._run(
            """
            UPDATE tracker_counter SET value = value + %(delta)s
            WHERE key = %(key)s AND (expires IS NULL OR expires > now())
            RETURNING value
            """,
            key,
            version,
            delta=delta,
        )
        if row is None:
            raise ValueError(f"Key {key!r} not found")
        number: int = row[0]
        return number

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return (
            self._run(
                """
            UPDATE tracker_counter SET expires = now() + make_interval(secs => %(timeout)s)
            WHERE key = %(key)s AND (expires IS NULL OR expires > now())
            RETURNING true
            """,
                key,
                version,
                timeout=self._seconds(timeout),
            )
            is not None
        )

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self._run("DELETE FROM tracker_counter WHERE key = %(key)s RETURNING true", key, version) is not None

    def clear(self) -> None:
        db.affected("DELETE FROM tracker_counter")

    def _seconds(self, timeout: Any) -> float | None:
        """Seconds from now; None means never and sets `expires` to null."""
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout

    def _run(self, sql: str, key: Any, version: int | None, **values: Any) -> tuple[Any, ...] | None:
        return db.one(sql, {"key": self.make_and_validate_key(key, version=version), **values})


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"DatabaseCounters holds whole numbers only, not {value!r}; set CACHE_URL for other values.")
    return value


def drop_expired_counters() -> int:
    """Delete expired counters; returns how many. A periodic job."""
    return db.affected("DELETE FROM tracker_counter WHERE expires <= now()")
