"""What the functions have in common: their settings, and conditions that several of them use."""

# Plans must not depend on the contents of the tables: they are generic and never scan a whole table. A table that was
# empty when a session made its plan may have millions of rows an hour later, and the session keeps the plan. In a join,
# the rows of each table are restricted separately, since the plan may begin with any of them.
SETTINGS = """LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off"""

# For statements that scan an index in its order until they have enough rows; the planner can't know how soon that is.
IN_ORDER = f"""{SETTINGS}
SET enable_sort = off"""

# Whether the worker is who it claims to be. Compares hashes with a secret salt instead of the stored digest itself, so
# that the time it takes reveals nothing about the digest.
SALT = "_salt bytea := uuid_send(gen_random_uuid());"
IDENTIFIED = "worker.id = _worker AND sha256(worker.secret_digest || _salt) = sha256(_digest || _salt)"

# Finds no row for a stranger; `_known` is whether the worker may know of the project.
KNOWN = f"""SELECT NOT project.hidden OR access.assign OR access.submit INTO _known
    FROM workers_worker AS worker
    LEFT JOIN projects_project AS project ON project.id = _project
    LEFT JOIN workers_workeraccess AS access ON access.project_id = _project AND access.worker_id = _worker
    WHERE {IDENTIFIED};"""

# A project's ready tasks are in one of two partial indexes: task_fresh has those that nobody has verified, task_voted
# those that somebody has, in the same order. task_voters has the latter sorted by their voters. A worker must not get a
# task that it has verified itself; with a single index, a worker that has verified the first 100,000 tasks would skip
# all of them with each lease.
FRESH = "task.project_id = _project AND task.status = 1 AND task.assignee_id IS NULL AND task.voters = '{}'"
VOTED = "task.project_id = _project AND task.status = 1 AND task.assignee_id IS NULL AND NOT task.voters = '{}'"
FIRST = "ORDER BY task.rank DESC, task.id"

# Whether the task may still be leased; the scheduler makes those FAILED that may not.
LIVE = "(task.expires_at IS NULL OR task.expires_at > now())"

# No other vote of the worker's operator is among the voters. `{kin}` is what queue_kin returns: usually null.
UNRELATED = "_worker <> ALL ({voters}) AND ({kin} IS NULL OR NOT {voters} && {kin})"

# Ends a lease.
UNLEASED = "assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL"
