"""queue_release, queue_release_many and queue_exchange."""

from tasks.queue.functions.lease import COLUMNS
from tasks.queue.functions.parts import IDENTIFIED, SALT, SETTINGS, UNLEASED

# The row must be found by its id. `assignee_id = …` would imply `assignee_id IS NOT NULL`, which lets the planner use
# task_leased; that looks cheap as long as few tasks are leased. IS NOT DISTINCT FROM implies nothing.
_HELD = """task.id = _task AND task.assignee_id IS NOT DISTINCT FROM _worker
          AND task.lease = coalesce(_lease, task.lease)"""

# Ends a lease. `outcome` is released, not_held or unknown_worker. After an OK that did not close the task, `missing`
# is the number of agreeing verifications that it still needs.
#
# After an OK, the votes decide whether the task is closed or the vote is added: one of the two, and only if the row
# still belongs to this worker. Closing deletes the row, so it happens only once.
RELEASE = f"""
CREATE OR REPLACE FUNCTION queue_release(
    _worker bigint, _digest bytea, _task bigint, _result int, _verification bigint = 0, _lease uuid = NULL,
    OUT outcome text, OUT missing int
)
{SETTINGS}
AS $$
DECLARE
    {SALT}
    _closed tasks_task;
    _chain bigint;
    _days int;
BEGIN
    PERFORM FROM workers_worker AS worker WHERE {IDENTIFIED};
    IF NOT FOUND THEN
        outcome := 'unknown_worker';
        RETURN;
    END IF;
    outcome := 'released';
    missing := 0;

    IF _result = 0 THEN
        DELETE FROM tasks_task AS task
        WHERE {_HELD}
          AND cardinality(array_positions(task.votes, _verification)) + 1 >= task.verification_count
        RETURNING task.* INTO _closed;
        IF FOUND THEN
            SELECT project.chain_id, project.retention_days INTO _chain, _days
            FROM projects_project AS project WHERE project.id = _closed.project_id;
            IF _days > 0 THEN
                INSERT INTO tasks_closedtask
                    (id, project_id, worker_id, recipe, priority, retries, hash64, verification, voters, votes, created,
                     assign_time)
                VALUES
                    (_closed.id, _closed.project_id, _worker, _closed.recipe, _closed.priority, _closed.retries,
                     _closed.hash64, _verification, _closed.voters, _closed.votes, _closed.created,
                     _closed.assign_time);
            END IF;
            INSERT INTO tasks_closedentry (project_id, worker_id, count) VALUES (_closed.project_id, _worker, 1);
            IF _chain IS NOT NULL THEN
                INSERT INTO tasks_task
                    (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
                VALUES
                    (_chain, _closed.recipe, _closed.priority, _closed.max_retries, _closed.max_assign_time,
                     _closed.hash64, _closed.verification_count)
                ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING;
            END IF;
            RETURN;
        END IF;
        UPDATE tasks_task AS task
        SET voters = task.voters || _worker, votes = task.votes || _verification, {UNLEASED}
        WHERE {_HELD}
          AND cardinality(array_positions(task.votes, _verification)) + 1 < task.verification_count
        RETURNING task.verification_count - cardinality(array_positions(task.votes, _verification)) INTO missing;
    ELSIF _result = 1 THEN
        UPDATE tasks_task AS task
        SET retries = task.retries + 1, status = CASE WHEN task.retries + 1 >= task.max_retries THEN 2 ELSE 1 END,
            {UNLEASED}
        WHERE {_HELD};
    ELSE
        UPDATE tasks_task AS task SET {UNLEASED} WHERE {_HELD};
    END IF;
    IF NOT FOUND THEN
        outcome := 'not_held';
    END IF;
END
$$
"""

# The same for many reports, given as arrays of equal length. Returns for each report how many verifications are still
# needed (0: done), or null if the worker did not hold the task; this includes a second report of a task in the batch.
#
# A separate statement first locks the rows in the order of their ids and reads from them what each report does. The
# statement after it sees the rows as they are then, and nobody can change them any more, so it can find them by
# `ctid`. It reads no other rows, since tasks that this worker has leased in between are not locked. Both sides of each
# join have one row per report; a nested loop would be quadratic.
SETTLE = f"""
CREATE OR REPLACE FUNCTION queue_settle(
    _worker bigint, _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[]
) RETURNS int[]
{SETTINGS}
SET enable_nestloop = off
AS $$
DECLARE
    _held tid[];
    _places bigint[];
    _missing int[];
BEGIN
    SELECT coalesce(array_agg(held.ctid), '{{}}'), array_agg(held.place), array_agg(held.missing)
    INTO _held, _places, _missing
    FROM (
        SELECT DISTINCT ON (locked.id) locked.ctid, locked.place, locked.missing
        FROM (
            SELECT task.id, task.ctid, sent.place,
                   CASE WHEN sent.result = 0 THEN greatest(
                       task.verification_count - 1 - cardinality(array_positions(task.votes, sent.verification)), 0
                   ) ELSE 0 END AS missing
            FROM unnest(_tasks, _results, _verifications, _leases) WITH ORDINALITY
                AS sent (task_id, result, verification, lease, place)
            JOIN tasks_task AS task ON task.id = sent.task_id
            WHERE task.id = ANY (_tasks) AND task.assignee_id IS NOT DISTINCT FROM _worker
              AND task.lease = coalesce(sent.lease, task.lease)
            ORDER BY task.id, sent.place FOR UPDATE OF task
        ) AS locked
        ORDER BY locked.id, locked.place
    ) AS held;

    WITH report AS MATERIALIZED (
        SELECT held.ctid, held.place, _results[held.place] AS result, _verifications[held.place] AS verification,
               held.missing
        FROM unnest(_held, _places, _missing) AS held (ctid, place, missing)
    ), closed AS (
        DELETE FROM tasks_task AS task USING report
        WHERE task.ctid = ANY (_held) AND task.ctid = report.ctid AND report.result = 0 AND report.missing = 0
        RETURNING task.*, report.verification
    ), project AS MATERIALIZED (
        SELECT project.id, project.retention_days, project.chain_id FROM projects_project AS project
        WHERE project.id = ANY (ARRAY(SELECT DISTINCT closed.project_id FROM closed))
    ), kept AS (
        INSERT INTO tasks_closedtask
            (id, project_id, worker_id, recipe, priority, retries, hash64, verification, voters, votes, created,
             assign_time)
        SELECT closed.id, closed.project_id, closed.assignee_id, closed.recipe, closed.priority, closed.retries,
               closed.hash64, closed.verification, closed.voters, closed.votes, closed.created, closed.assign_time
        FROM closed JOIN project ON project.id = closed.project_id
        WHERE project.retention_days > 0
    ), counted AS (
        INSERT INTO tasks_closedentry (project_id, worker_id, count)
        SELECT closed.project_id, _worker, count(*) FROM closed GROUP BY closed.project_id
    ), chained AS (
        INSERT INTO tasks_task (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
        SELECT project.chain_id, closed.recipe, closed.priority, closed.max_retries, closed.max_assign_time,
               closed.hash64, closed.verification_count
        FROM closed JOIN project ON project.id = closed.project_id
        WHERE project.chain_id IS NOT NULL
        ORDER BY project.chain_id, closed.hash64, closed.id
        ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
    ), given_back AS (
        UPDATE tasks_task AS task
        SET voters = CASE WHEN report.result = 0 THEN task.voters || _worker ELSE task.voters END,
            votes = CASE WHEN report.result = 0 THEN task.votes || report.verification ELSE task.votes END,
            retries = task.retries + (report.result = 1)::int,
            status = CASE WHEN report.result = 1 AND task.retries + 1 >= task.max_retries THEN 2 ELSE 1 END,
            {UNLEASED}
        FROM report
        WHERE task.ctid = ANY (_held) AND task.ctid = report.ctid AND NOT (report.result = 0 AND report.missing = 0)
    )
    SELECT coalesce(array_agg(report.missing ORDER BY sent.place), '{{}}') INTO _missing
    FROM unnest(_tasks) WITH ORDINALITY AS sent (task_id, place) LEFT JOIN report ON report.place = sent.place;
    RETURN _missing;
END
$$
"""

RELEASE_MANY = f"""
CREATE OR REPLACE FUNCTION queue_release_many(
    _worker bigint, _digest bytea, _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[],
    OUT outcome text, OUT missing int[]
)
{SETTINGS}
AS $$
DECLARE
    {SALT}
BEGIN
    PERFORM FROM workers_worker AS worker WHERE {IDENTIFIED};
    IF NOT FOUND THEN
        outcome := 'unknown_worker';
        RETURN;
    END IF;
    outcome := 'released';
    missing := queue_settle(_worker, _tasks, _results, _verifications, _leases);
END
$$
"""

# Releases tasks, then leases others. A refused lease leaves the releases as they are, unless the project does not exist
# for the worker. `missing` is as above, in the last row; null if nothing was done.
EXCHANGE = f"""
CREATE OR REPLACE FUNCTION queue_exchange_bounded(
    _worker bigint, _digest bytea, _project bigint, _wanted int,
    _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[],
    _after_priority int = NULL, _after_id bigint = NULL,
    _most_bytes bigint = {16 * 1024 * 1024}, _allowed bigint = NULL
) RETURNS TABLE ({COLUMNS}, missing int[])
{SETTINGS}
AS $$
DECLARE
    {SALT}
    _known bool;
    _missing int[];
BEGIN
    SELECT NOT project.hidden OR access.assign OR access.submit INTO _known
    FROM workers_worker AS worker
    LEFT JOIN projects_project AS project ON project.id = _project
    LEFT JOIN workers_workeraccess AS access ON access.project_id = _project AND access.worker_id = _worker
    WHERE {IDENTIFIED};
    outcome := CASE WHEN NOT FOUND THEN 'unknown_worker' WHEN _known IS NOT TRUE THEN 'no_project' END;
    IF outcome IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    _missing := queue_settle(_worker, _tasks, _results, _verifications, _leases);
    RETURN QUERY
    SELECT leased.*, CASE WHEN leased.outcome IS NOT NULL THEN _missing END
    FROM queue_lease_bounded(
        _worker, _digest, _project, _wanted, _after_priority, _after_id, true, _most_bytes, _allowed
    ) AS leased;
END
$$
"""
