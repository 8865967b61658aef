"""queue_submit, queue_submit_many and queue_store_many."""

from tasks.queue.functions.parts import IDENTIFIED, SALT, SETTINGS

# Continues only if the worker may submit and a token is available.
_VARIABLES = f"""
    {SALT}
    _identified bool;
    _known bool;
    _granted bool;
    _rate float8;
""".strip()
_CHECKED = f"""
    SELECT true, NOT project.hidden OR access.assign OR access.submit, access.submit, project.submit_rate
    INTO _identified, _known, _granted, _rate
    FROM workers_worker AS worker
    LEFT JOIN projects_project AS project ON project.id = _project
    LEFT JOIN workers_workeraccess AS access ON access.project_id = _project AND access.worker_id = _worker
    WHERE {IDENTIFIED};
    outcome := CASE
        WHEN NOT _identified IS TRUE THEN 'unknown_worker'
        WHEN _known IS NOT TRUE THEN 'no_project'
        WHEN _granted IS NOT TRUE THEN 'may_not_submit'
    END;
    IF outcome IS NULL AND _rate > 0 THEN
        delay := queue_wait(_project, 'submit');
        IF delay > 0 THEN
            outcome := 'rate_limited';
        END IF;
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
"""

# Stores one task. `outcome` is stored; duplicate, with the id of the task that has this hash; or the reason for
# refusing it: unknown_worker, no_project, may_not_submit, rate_limited.
#
# The unique index alone ensures uniqueness, without a SELECT before, so of racing submits with the same hash one is
# stored. Only a stored task takes a token.
SUBMIT = f"""
CREATE OR REPLACE FUNCTION queue_submit(
    _worker bigint, _digest bytea, _project bigint, _recipe text, _priority int = 0, _max_retries int = 0,
    _max_assign_time int = 0, _hash64 bigint = NULL, _verification_count int = 0,
    OUT outcome text, OUT delay float8, OUT id bigint
)
{SETTINGS}
AS $$
DECLARE
    {_VARIABLES}
BEGIN
{_CHECKED}
    LOOP
        INSERT INTO tasks_task AS task
            (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count, submitter_id)
        VALUES (_project, _recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count, _worker)
        ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
        RETURNING task.id INTO id;
        IF FOUND THEN
            outcome := 'stored';
            IF _rate > 0 THEN
                PERFORM queue_charge(_project, 'submit', _rate, 1);
            END IF;
            RETURN;
        END IF;
        SELECT task.id INTO id FROM tasks_task AS task
        WHERE task.project_id = _project AND task.hash64 = _hash64 AND task.hash64 IS NOT NULL;
        IF FOUND THEN
            outcome := 'duplicate';
            RETURN;
        END IF;
        -- The task with this hash was closed between the two looks, so the hash is free by now.
    END LOOP;
END
$$
"""

_ARRAYS = """
    _recipe text[], _priority int[], _max_retries int[], _max_assign_time int[], _hash64 bigint[],
    _verification_count int[]
"""

# Stores many tasks, given as arrays of equal length. Returns their ids in the order sent, null where the hash was
# taken. Ids are assigned in the order sent, which becomes the order of leasing. Rows are inserted in the order of
# their hashes, so that racing batches with the same hashes can't deadlock. Both sides of the join have one row per
# task; a nested loop would be quadratic.
STORE_MANY = f"""
CREATE OR REPLACE FUNCTION queue_store_many(
    _project bigint, {_ARRAYS}, _submitter bigint = NULL
) RETURNS bigint[]
{SETTINGS}
SET enable_nestloop = off
AS $$
DECLARE
    _ids bigint[];
BEGIN
    WITH item AS MATERIALIZED (
        SELECT nextval('tasks_task_id_seq') AS id, sent.*
        FROM unnest(_recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count) WITH ORDINALITY
            AS sent (recipe, priority, max_retries, max_assign_time, hash64, verification_count, place)
    ), added AS (
        INSERT INTO tasks_task
            (id, project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count, submitter_id)
        SELECT item.id, _project, item.recipe, item.priority, item.max_retries, item.max_assign_time, item.hash64,
               item.verification_count, _submitter
        FROM item
        ORDER BY item.hash64, item.place
        ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
        RETURNING id
    )
    SELECT array_agg(added.id ORDER BY item.place) INTO _ids FROM item LEFT JOIN added ON added.id = item.id;
    RETURN _ids;
END
$$
"""

# The same for a worker. `outcome` is stored, or the reason why nothing was, as above.
SUBMIT_MANY = f"""
CREATE OR REPLACE FUNCTION queue_submit_many(
    _worker bigint, _digest bytea, _project bigint, {_ARRAYS},
    OUT outcome text, OUT delay float8, OUT ids bigint[]
)
{SETTINGS}
AS $$
DECLARE
    {_VARIABLES}
BEGIN
{_CHECKED}
    outcome := 'stored';
    ids := queue_store_many(
        _project, _recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count, _worker
    );
    IF _rate > 0 AND cardinality(array_remove(ids, NULL)) > 0 THEN
        PERFORM queue_charge(_project, 'submit', _rate, cardinality(array_remove(ids, NULL)));
    END IF;
END
$$
"""
