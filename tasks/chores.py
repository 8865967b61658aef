"""The queue's upkeep, done by the scheduler. Each call does one batch and returns how many rows it moved."""

from django.conf import settings

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


def take_snapshots() -> int:
    """Write down how every project stands that has no recent snapshot."""
    # Half a round ago: the same round, called again to see whether more is to do, finds nothing.
    return db.affected(sql.TAKE_SNAPSHOTS, {"recent_seconds": settings.SNAPSHOT_SECONDS / 2})


def drop_snapshots() -> int:
    """Delete snapshots that are past SNAPSHOT_KEEP_HOURS."""
    return db.affected(sql.DROP_SNAPSHOTS, {"hours": settings.SNAPSHOT_KEEP_HOURS, "limit": BATCH})
