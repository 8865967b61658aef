"""What the functions have in common: their settings, and conditions that several of them use."""

# Plans don't depend on what the tables hold: they are made once, for any parameters, and never read a whole table. One
# that was empty when a session made its plan may have millions of rows an hour later, and the plan would stay. Where a
# statement joins, each table is bounded by itself, since a plan may begin with any of them.
SETTINGS = """LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off"""

# For statements that read an index in its order until they have enough, which the planner can't know to be soon.
IN_ORDER = f"""{SETTINGS}
SET enable_sort = off"""

# Whether the worker is who it says it is. Hashes under a salt that nobody knows are compared, not the stored digest
# itself, so that how long it takes tells nothing of it.
SALT = "_salt bytea := uuid_send(gen_random_uuid());"
IDENTIFIED = "worker.id = _worker AND sha256(worker.secret_digest || _salt) = sha256(_digest || _salt)"

# A project's tasks that may be leased stand in one of two indexes: by task_fresh those that nobody has verified; by
# task_voted, in the same order, those that somebody has, and there once more in task_voters, by who has. A worker may
# not be given what it has verified itself. Were these in the same index as the others, a worker that has verified the
# first 100,000 would step over all of them at each lease.
FRESH = "task.project_id = _project AND task.status = 1 AND task.assignee_id IS NULL AND task.voters = '{}'"
VOTED = "task.project_id = _project AND task.status = 1 AND task.assignee_id IS NULL AND NOT task.voters = '{}'"
FIRST = "ORDER BY task.priority DESC, task.id"

# Ends a lease.
UNLEASED = "assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL"
