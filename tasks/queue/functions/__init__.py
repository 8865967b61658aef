"""The database functions that change tasks: each does a worker's call in one round trip.

Planning such a statement costs more than running it. A session caches the plans of a function's statements, also behind
a connection pooler, where a client's prepared statements are lost.

All functions have these in common:

- Each first identifies the caller.
- The isolation level is READ COMMITTED. If another session changed a row between our snapshot and our lock, the newest
  version of the row is checked again, so every condition that guards a transition is on the row itself.
- `now()` is the time at the start of the call.
- Locks are taken in this order: the key of a call that may be repeated (an advisory lock), the token bucket for
  submits, released and extended tasks (by id), hashes of stored tasks (by hash), the token bucket for leases, the
  worker's leases of the project (an advisory lock). A lease never waits for a task: it skips locked ones. One deadlock
  is still possible, since an INSERT also waits for the transaction that is deleting the task with the same hash. So a
  bulk call may have to be repeated; see tracker.db.rows_again.
- Names that begin with _ are parameters and variables, others are columns.

A change needs a migration that installs the functions again and contains the new DIGEST.
"""

import hashlib
from typing import Any

from tasks.queue.functions.accept import ACCEPT
from tasks.queue.functions.attempts import END, FINGERPRINT, GIVE_BACK
from tasks.queue.functions.bucket import CHARGE, WAIT
from tasks.queue.functions.delays import FAIL_EXPIRED, MAKE_DUE
from tasks.queue.functions.heartbeat import CANCELLED, EXCHANGE_EXTENDING, EXTEND, HEARTBEAT
from tasks.queue.functions.lease import FITTING, LEASE, LOCK_VERIFIED
from tasks.queue.functions.once import ONCE
from tasks.queue.functions.release import AGREEING, CLOSE, COUNT_VOTES, EXCHANGE, KIN, RELEASE, RELEASE_MANY, SETTLE
from tasks.queue.functions.submit import HEAD_START, STORE_MANY, SUBMIT, SUBMIT_MANY
from tasks.queue.functions.tallies import ADDED, SPREAD

ALL = {
    "queue_wait": WAIT,
    "queue_charge": CHARGE,
    "queue_kin": KIN,
    "queue_lock_verified": LOCK_VERIFIED,
    "queue_fitting": FITTING,
    "queue_lease_bounded": LEASE,
    "queue_fingerprint": FINGERPRINT,
    "queue_give_back": GIVE_BACK,
    "queue_end": END,
    "queue_make_due": MAKE_DUE,
    "queue_fail_expired": FAIL_EXPIRED,
    "queue_agreeing": AGREEING,
    "queue_head_start": HEAD_START,
    "queue_accept": ACCEPT,
    "queue_count_votes": COUNT_VOTES,
    "queue_close": CLOSE,
    "queue_settle": SETTLE,
    "queue_release": RELEASE,
    "queue_release_many": RELEASE_MANY,
    "queue_exchange_bounded": EXCHANGE,
    "queue_cancelled": CANCELLED,
    "queue_extend": EXTEND,
    "queue_heartbeat": HEARTBEAT,
    "queue_exchange_extending": EXCHANGE_EXTENDING,
    "queue_submit": SUBMIT,
    "queue_store_many": STORE_MANY,
    "queue_submit_many": SUBMIT_MANY,
    "queue_once": ONCE,
    "queue_spread": SPREAD,
    "queue_added": ADDED,
}

DIGEST = hashlib.sha256("".join(ALL.values()).encode()).hexdigest()[:16]


def install(apps: Any, schema_editor: Any) -> None:
    """For migrations: create the functions, replacing existing ones."""
    drop(apps, schema_editor)
    for statement in ALL.values():
        schema_editor.execute(statement, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    """For migrations: drop the functions."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_INSTALLED, {"names": list(ALL)})
        for (signature,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {signature}")


_INSTALLED = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE proname = ANY (%(names)s) AND pronamespace = current_schema()::regnamespace
"""
