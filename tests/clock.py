"""Clocks for tests: the database's, since a test may be held up at any moment, and one that stands still."""

from datetime import datetime

from tracker import db


def now() -> datetime:
    """Not now() of the database, which stands still within a transaction, and most tests are one."""
    (moment,) = db.one("SELECT clock_timestamp()")
    return moment


def seconds_since(moment: datetime) -> float:
    return (now() - moment).total_seconds()


class Clock:
    """A clock to hand in: it stands still until a test sets `now`, in seconds."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now
