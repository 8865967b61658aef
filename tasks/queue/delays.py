"""Tasks whose time comes: delayed ones become ready, and those that have expired FAILED.

The scheduler calls these several times a second. As long as no task's time has come, each is a look at the first entry
of an index (of delayed tasks, for each project that has any), which writes nothing.
"""

from tracker import db

#: Maximum number of tasks that one call changes.
BATCH = 5_000


def make_due_ready() -> int:
    """Make delayed tasks ready whose time has come. Returns their number."""
    ((made,),) = db.rows("SELECT queue_make_due(%(most)s)", {"most": BATCH})
    return int(made)


def fail_expired() -> int:
    """Make tasks FAILED that have expired and that nobody holds. Returns their number."""
    ((failed,),) = db.rows("SELECT queue_fail_expired(%(most)s)", {"most": BATCH})
    return int(failed)
