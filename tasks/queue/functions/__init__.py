"""The functions in the database that move tasks: what a worker's call does there, in one round trip.

Functions rather than statements, since planning costs a statement of this kind more than running it, and a session
keeps the plans of a function; also behind a pooler, where statements that a client has prepared are lost.

Common to all:

- Each begins with who calls.
- READ COMMITTED. A row that another session changed between our snapshot and our lock is looked at again in its newest
  version, so every condition that guards a transition is on the row itself.
- `now()` is the database's clock at the start of the call.
- Locks are taken in the order bucket of submits, tasks that are released (by id), hashes of tasks that are stored (by
  hash), bucket of leases. A lease waits for no task: it passes over those that are locked. One circle is left: an
  INSERT also waits for whoever is deleting the task that has its hash. So a bulk may have to be done again; see
  tracker.db.rows_again.
- Names beginning with _ are parameters and variables, others are columns.

A change takes a migration that installs them anew and has the new DIGEST.
"""

import hashlib
from typing import Any

from tasks.queue.functions.bucket import CHARGE, WAIT
from tasks.queue.functions.lease import LEASE, LOCK_VOTED
from tasks.queue.functions.release import EXCHANGE, RELEASE, RELEASE_MANY, SETTLE
from tasks.queue.functions.submit import STORE_MANY, SUBMIT, SUBMIT_MANY

ALL = {
    "queue_wait": WAIT,
    "queue_charge": CHARGE,
    "queue_lock_voted": LOCK_VOTED,
    "queue_lease": LEASE,
    "queue_settle": SETTLE,
    "queue_release": RELEASE,
    "queue_release_many": RELEASE_MANY,
    "queue_exchange": EXCHANGE,
    "queue_submit": SUBMIT,
    "queue_store_many": STORE_MANY,
    "queue_submit_many": SUBMIT_MANY,
}

DIGEST = hashlib.sha256("".join(ALL.values()).encode()).hexdigest()[:16]


def install(apps: Any, schema_editor: Any) -> None:
    """For migrations: put the functions into the database, in place of those that are there."""
    drop(apps, schema_editor)
    for statement in ALL.values():
        schema_editor.execute(statement, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    """For migrations: take them out again."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_INSTALLED, {"names": list(ALL)})
        for (signature,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {signature}")


_INSTALLED = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE proname = ANY (%(names)s) AND pronamespace = current_schema()::regnamespace
"""
