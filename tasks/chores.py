"""The queue's upkeep, done by the scheduler. Each call does one batch and returns how many rows it moved."""

from tasks import sql
from tracker import db

BATCH = 5_000


def expire_leases() -> int:
    """Give leases that ran out back to the queue."""
    return db.affected(sql.EXPIRE, {"limit": BATCH})


def fold_closed() -> int:
    """Add the newest closings to the totals."""
    row = db.one(sql.FOLD_CLOSED, {"limit": BATCH})
    return int(row[0]) if row else 0


def forget_closed() -> int:
    """Delete closed tasks that are past their project's retention."""
    return db.affected(sql.FORGET_CLOSED, {"limit": BATCH})
