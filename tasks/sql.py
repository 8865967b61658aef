"""The statements that move tasks, whole. Each is one transition and carries its own guard.

Common to all:

- READ COMMITTED. A row that another session changed between our snapshot and our lock is looked at again in its newest
  version, so every condition that guards a transition is on the row itself.
- `now()` is the database's clock at the start of the statement.
- Locks are taken in the order rate bucket, task, hash of another task (an INSERT that meets the same hash waits for
  the other inserter). Nobody who holds a later one asks for an earlier one.
- The rate bucket's row is touched only where the project has a rate: `%(rate)s > 0` is a constant to the planner.
  The last SELECT always gives a row and begins it with whether there was a token, so that "none stored" and "none
  leased" are told from "too fast" by the same look.
"""

# Stores one task, or nothing if the hash is taken or no token is there. The uniqueness is the index's affair: no
# looking first, so racing submits of one hash leave one row. A token is taken only by a task that was stored.
SUBMIT = """
WITH bucket AS MATERIALIZED (
    SELECT FROM projects_ratebucket
    WHERE %(rate)s > 0 AND project_id = %(project)s AND kind = 'submit' AND next_at <= now()
    FOR UPDATE
), added AS (
    INSERT INTO tasks_task
        (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
    SELECT %(project)s, %(recipe)s, %(priority)s, %(max_retries)s, %(max_assign_time)s, %(hash64)s,
           %(verification_count)s
    WHERE %(rate)s = 0 OR EXISTS (SELECT FROM bucket)
    ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
    RETURNING id
), charged AS (
    UPDATE projects_ratebucket SET next_at = now() + make_interval(secs => 1 / nullif(%(rate)s, 0))
    WHERE %(rate)s > 0 AND project_id = %(project)s AND kind = 'submit' AND EXISTS (SELECT FROM added)
)
SELECT EXISTS (SELECT FROM bucket), (SELECT id FROM added)
"""

# Stores many, and answers their ids in the order sent, null where the hash was taken. Ids are drawn in the order sent,
# which is the order of leasing. The rows go in by hash, so that two racing batches with the same hashes meet them in
# the same order and can't wait for each other.
SUBMIT_MANY = """
WITH bucket AS MATERIALIZED (
    SELECT FROM projects_ratebucket
    WHERE %(rate)s > 0 AND project_id = %(project)s AND kind = 'submit' AND next_at <= now()
    FOR UPDATE
), item AS MATERIALIZED (
    SELECT nextval('tasks_task_id_seq') AS id, sent.*
    FROM unnest(
        %(recipe)s::text[], %(priority)s::int[], %(max_retries)s::int[], %(max_assign_time)s::int[],
        %(hash64)s::bigint[], %(verification_count)s::int[]
    ) WITH ORDINALITY
        AS sent (recipe, priority, max_retries, max_assign_time, hash64, verification_count, place)
    WHERE %(rate)s = 0 OR EXISTS (SELECT FROM bucket)
), added AS (
    INSERT INTO tasks_task
        (id, project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
    SELECT id, %(project)s, recipe, priority, max_retries, max_assign_time, hash64, verification_count
    FROM item
    ORDER BY hash64, place
    ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
    RETURNING id
), charged AS (
    UPDATE projects_ratebucket
    SET next_at = now() + make_interval(secs => (SELECT count(*) FROM added) / nullif(%(rate)s, 0))
    WHERE %(rate)s > 0 AND project_id = %(project)s AND kind = 'submit' AND EXISTS (SELECT FROM added)
)
SELECT EXISTS (SELECT FROM bucket), (SELECT array_agg(added.id ORDER BY place) FROM item LEFT JOIN added USING (id))
"""

# By task_hash_unique.
FIND_BY_HASH = """
SELECT hash64, id FROM tasks_task WHERE project_id = %(project)s AND hash64 = ANY(%(hashes)s)
"""

# Leases the first ready task by task_ready; where there is none, one whose lease ran out, by task_leased. A row that
# is locked is being leased by somebody else at this moment and is passed over.
#
# The second look is taken only when the first found nothing: NOT EXISTS (… ready) is a one-time filter.
#
# Its commit does not wait for the disk. A lease that a crash of the database takes away is a task that is given twice,
# which at-least-once allows; and the disk is most of what a lease would wait for. The setting ends with the
# transaction: a statement that must not be lost can't stand in one with this. The join's condition is there so that
# the function is called.
LEASE = """
WITH bucket AS MATERIALIZED (
    SELECT FROM projects_ratebucket
    WHERE %(rate)s > 0 AND project_id = %(project)s AND kind = 'assign' AND next_at <= now()
    FOR UPDATE
), ready AS MATERIALIZED (
    SELECT id FROM tasks_task
    WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND %(worker)s <> ALL (voters)
      AND (%(rate)s = 0 OR EXISTS (SELECT FROM bucket))
    ORDER BY priority DESC, id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), expired AS MATERIALIZED (
    SELECT id FROM tasks_task
    WHERE project_id = %(project)s AND assignee_id IS NOT NULL AND lease_expires <= now()
      AND %(worker)s <> ALL (voters)
      AND (%(rate)s = 0 OR EXISTS (SELECT FROM bucket))
      AND NOT EXISTS (SELECT FROM ready)
    ORDER BY lease_expires
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE tasks_task
    SET assignee_id = %(worker)s,
        lease = gen_random_uuid(),
        assign_time = now(),
        lease_expires = now() + make_interval(
            secs => CASE WHEN max_assign_time > 0 THEN max_assign_time ELSE %(lease_seconds)s END
        )
    WHERE id = (SELECT id FROM ready UNION ALL SELECT id FROM expired)
    RETURNING id, priority, assignee_id, retries, max_retries, status, recipe, max_assign_time, verification_count,
              assign_time, lease
), charged AS (
    UPDATE projects_ratebucket SET next_at = now() + make_interval(secs => 1 / nullif(%(rate)s, 0))
    WHERE %(rate)s > 0 AND project_id = %(project)s AND kind = 'assign' AND EXISTS (SELECT FROM leased)
)
SELECT EXISTS (SELECT FROM bucket), leased.*
FROM (SELECT set_config('synchronous_commit', 'off', true) AS waiting) AS always
LEFT JOIN leased ON always.waiting = 'off'
"""

# Why LEASE gave nothing: whether ready tasks are there that this worker verified already.
HAS_VERIFIED_READY = """
SELECT EXISTS (
    SELECT FROM tasks_task
    WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL AND %(worker)s = ANY (voters)
)
"""

# The three releases find the row by its id. `assignee_id = …` would imply `assignee_id IS NOT NULL` and offer the
# planner task_leased, which looks cheap as long as few tasks are leased; IS NOT DISTINCT FROM implies nothing.

# OK. The votes decide between closing and voting, so at most one of the two happens, and to a row that is still this
# worker's. A closed row leaves the table, which is what makes closing happen once.
RELEASE_OK = """
WITH closed AS (
    DELETE FROM tasks_task
    WHERE id = %(task)s AND assignee_id IS NOT DISTINCT FROM %(worker)s AND lease = coalesce(%(lease)s::uuid, lease)
      AND cardinality(array_positions(votes, %(verification)s)) + 1 >= verification_count
    RETURNING *
), kept AS (
    INSERT INTO tasks_closedtask
        (id, project_id, worker_id, recipe, priority, retries, hash64, verification, voters, votes, created,
         assign_time)
    SELECT closed.id, closed.project_id, closed.assignee_id, closed.recipe, closed.priority, closed.retries,
           closed.hash64, %(verification)s, closed.voters, closed.votes, closed.created, closed.assign_time
    FROM closed JOIN projects_project ON projects_project.id = closed.project_id
    WHERE projects_project.retention_days > 0
), counted AS (
    INSERT INTO tasks_closedentry (project_id, worker_id, count) SELECT project_id, assignee_id, 1 FROM closed
), chained AS (
    INSERT INTO tasks_task
        (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
    SELECT projects_project.chain_id, closed.recipe, closed.priority, closed.max_retries, closed.max_assign_time,
           closed.hash64, closed.verification_count
    FROM closed JOIN projects_project ON projects_project.id = closed.project_id
    WHERE projects_project.chain_id IS NOT NULL
    ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
), voted AS (
    UPDATE tasks_task
    SET voters = voters || %(worker)s::bigint, votes = votes || %(verification)s::bigint,
        assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
    WHERE id = %(task)s AND assignee_id IS NOT DISTINCT FROM %(worker)s AND lease = coalesce(%(lease)s::uuid, lease)
      AND cardinality(array_positions(votes, %(verification)s)) + 1 < verification_count
    RETURNING verification_count - cardinality(array_positions(votes, %(verification)s)) AS missing
)
SELECT 0 FROM closed UNION ALL SELECT missing FROM voted
"""

RELEASE_FAIL = """
UPDATE tasks_task
SET retries = retries + 1,
    status = CASE WHEN retries + 1 >= max_retries THEN 2 ELSE 1 END,
    assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = %(task)s AND assignee_id IS NOT DISTINCT FROM %(worker)s AND lease = coalesce(%(lease)s::uuid, lease)
RETURNING 0
"""

RELEASE_SKIP = """
UPDATE tasks_task
SET assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = %(task)s AND assignee_id IS NOT DISTINCT FROM %(worker)s AND lease = coalesce(%(lease)s::uuid, lease)
RETURNING 0
"""

# Gives back leases that ran out, up to `limit` of each project, by task_leased. Per project, since the index is led
# by it and a scan over all leases would grow with those that are still good.
EXPIRE = """
UPDATE tasks_task
SET assignee_id = NULL, lease = NULL, assign_time = NULL, lease_expires = NULL
WHERE id = ANY (ARRAY(
    SELECT due.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_task
        WHERE project_id = projects_project.id AND assignee_id IS NOT NULL AND lease_expires <= now()
        ORDER BY lease_expires
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS due
))
"""

# Moves what releases have appended into the totals. A reader sees each closing once, before or after, never twice.
FOLD_CLOSED = """
WITH folded AS (
    DELETE FROM tasks_closedentry
    WHERE id = ANY (ARRAY(SELECT id FROM tasks_closedentry ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING project_id, worker_id, count
), summed AS (
    INSERT INTO tasks_closedtotal AS total (project_id, worker_id, count)
    SELECT project_id, worker_id, sum(count) FROM folded GROUP BY project_id, worker_id ORDER BY 1, 2
    ON CONFLICT (project_id, worker_id) DO UPDATE SET count = total.count + excluded.count
)
SELECT count(*) FROM folded
"""

# Deletes closed tasks that are past their project's retention, up to `limit` of each project, by closedtask_by_time.
FORGET_CLOSED = """
DELETE FROM tasks_closedtask
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_closedtask
        WHERE project_id = projects_project.id
          AND closed < now() - make_interval(days => projects_project.retention_days)
        ORDER BY closed
        LIMIT %(limit)s
    ) AS old
))
"""

# One row per project that has none from the last `recent_seconds`. Each count is an index-only scan of one partial
# index, so but for the oldest no task's row is read; it takes no locks that anybody waits for. The oldest is the one
# with the lowest id, looked for while counting: alone, min(id) would be looked for along the primary key.
TAKE_SNAPSHOTS = """
INSERT INTO projects_snapshot
    (project_id, new_task_count, failed_task_count, closed_task_count, awaiting_verification_count,
     worker_access_count, leased_task_count, oldest_ready, version)
SELECT project.id,
       ready.count + leased.count,
       (SELECT count(*) FROM tasks_task WHERE project_id = project.id AND status = 2),
       (SELECT coalesce(sum(count), 0) FROM tasks_closedtotal WHERE project_id = project.id)
           + coalesce(unfolded.count, 0),
       (SELECT count(*) FROM tasks_task WHERE project_id = project.id AND status = 1 AND NOT voters = '{}'),
       (SELECT count(*) FROM workers_workeraccess WHERE project_id = project.id AND (assign OR submit)),
       leased.count,
       (SELECT created FROM tasks_task WHERE id = ready.oldest),
       project.version
FROM projects_project AS project
CROSS JOIN LATERAL (
    SELECT count(*), min(id) AS oldest FROM tasks_task
    WHERE project_id = project.id AND status = 1 AND assignee_id IS NULL
) AS ready
CROSS JOIN LATERAL (
    SELECT count(*) FROM tasks_task WHERE project_id = project.id AND assignee_id IS NOT NULL
) AS leased
LEFT JOIN (SELECT project_id, sum(count) AS count FROM tasks_closedentry GROUP BY project_id) AS unfolded
    ON unfolded.project_id = project.id
WHERE NOT EXISTS (
    SELECT FROM projects_snapshot
    WHERE project_id = project.id AND taken > now() - make_interval(secs => %(recent_seconds)s)
)
"""

DROP_SNAPSHOTS = """
DELETE FROM projects_snapshot
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project AS project CROSS JOIN LATERAL (
        SELECT id FROM projects_snapshot
        WHERE project_id = project.id AND taken < now() - make_interval(hours => %(hours)s)
        LIMIT %(limit)s
    ) AS old
))
"""
