"""The statements that move tasks, but for those of a worker's usual calls, which are in tasks.functions.

What is common to these holds here, too: READ COMMITTED, every guard on the row itself, `now()` the time at which the
statement began, locks in the same order.
"""

# A worker's usual calls; see tasks.functions.

SUBMIT = """
SELECT outcome, delay, id FROM queue_submit(
    %(worker)s, %(digest)s, %(project)s, %(recipe)s, %(priority)s, %(max_retries)s, %(max_assign_time)s, %(hash64)s,
    %(verification_count)s
)
"""

SUBMIT_MANY = """
SELECT outcome, delay, ids FROM queue_submit_many(
    %(worker)s, %(digest)s, %(project)s, %(recipe)s::text[], %(priority)s::int[], %(max_retries)s::int[],
    %(max_assign_time)s::int[], %(hash64)s::bigint[], %(verification_count)s::int[]
)
"""

# An operator's.
STORE_MANY = """
SELECT queue_store_many(
    %(project)s, %(recipe)s::text[], %(priority)s::int[], %(max_retries)s::int[], %(max_assign_time)s::int[],
    %(hash64)s::bigint[], %(verification_count)s::int[]
)
"""

LEASE = """
SELECT * FROM queue_lease(
    %(worker)s, %(digest)s, %(project)s, %(count)s, %(after_priority)s, %(after_id)s
)
"""

RELEASE = """
SELECT outcome, missing FROM queue_release(
    %(worker)s, %(digest)s, %(task_id)s, %(result)s, %(verification)s, %(lease)s
)
"""

RELEASE_MANY = """
SELECT outcome, missing FROM queue_release_many(
    %(worker)s, %(digest)s, %(task_id)s::bigint[], %(result)s::int[], %(verification)s::bigint[], %(lease)s::uuid[]
)
"""

EXCHANGE = """
SELECT * FROM queue_exchange(
    %(worker)s, %(digest)s, %(project)s, %(count)s,
    %(task_id)s::bigint[], %(result)s::int[], %(verification)s::bigint[], %(lease)s::uuid[],
    %(after_priority)s, %(after_id)s
)
"""

# The projects that a worker should try next if it takes tasks from any: the highest priority first, then by chance,
# among those that it may lease from and that have something to lease. Only as many are looked into, by the indexes of
# tasks, as are asked for: with EXISTS, the planner could read the whole queue beforehand.
PROJECTS_WITH_WORK = """
SELECT id
FROM (
    SELECT project.id
    FROM projects_project AS project
    LEFT JOIN workers_workeraccess AS access
        ON access.project_id = project.id AND access.worker_id = %(worker)s
    WHERE NOT project.paused AND (project.public OR access.assign OR access.submit)
      AND project.id <> ALL (%(tried)s::bigint[])
    ORDER BY project.priority DESC, random()
) AS candidate
WHERE coalesce(
    (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND status = 1 AND assignee_id IS NULL AND voters = '{}'
        ORDER BY priority DESC, id LIMIT 1
    ), (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
        ORDER BY priority DESC, id LIMIT 1
    ), (
        SELECT id FROM tasks_task
        WHERE project_id = candidate.id AND assignee_id IS NOT NULL AND lease_expires <= now()
        ORDER BY lease_expires LIMIT 1
    )
) IS NOT NULL
LIMIT %(limit)s
"""

# Each task that may be leased, by task_fresh and task_voted: a table to read from in their order.
READY_TASKS = """(
    SELECT * FROM tasks_task WHERE status = 1 AND assignee_id IS NULL AND voters = '{}'
    UNION ALL
    SELECT * FROM tasks_task WHERE status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
) AS tasks_task"""

# By task_hash_unique.
FIND_BY_HASH = """
SELECT hash64, id FROM tasks_task WHERE project_id = %(project)s AND hash64 = ANY (%(hashes)s::bigint[])
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
TAKE_SNAPSHOTS = f"""
INSERT INTO projects_snapshot
    (project_id, new_task_count, failed_task_count, closed_task_count, awaiting_verification_count,
     worker_access_count, leased_task_count, oldest_ready, version)
SELECT project.id,
       ready.count + leased.count,
       (SELECT count(*) FROM tasks_task WHERE project_id = project.id AND status = 2),
       (SELECT coalesce(sum(count), 0) FROM tasks_closedtotal WHERE project_id = project.id)
           + coalesce(unfolded.count, 0),
       (SELECT count(*) FROM tasks_task WHERE project_id = project.id AND status = 1 AND NOT voters = '{{}}'),
       (SELECT count(*) FROM workers_workeraccess WHERE project_id = project.id AND (assign OR submit)),
       leased.count,
       (SELECT created FROM tasks_task WHERE id = ready.oldest),
       project.version
FROM projects_project AS project
CROSS JOIN LATERAL (
    SELECT count(*), min(id) AS oldest FROM {READY_TASKS} WHERE project_id = project.id
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
