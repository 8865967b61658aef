"""What time it is by the database's clock, for tests that may be held up at any moment on a busy machine."""

from datetime import datetime

from tracker import db


def now() -> datetime:
    """Not now() of the database, which stands still within a transaction, and most tests are one."""
    (moment,) = db.one("SELECT clock_timestamp()")
    return moment


def seconds_since(moment: datetime) -> float:
    return (now() - moment).total_seconds()
