"""queue_submit, queue_submit_many and queue_store_many."""

from tasks.queue.functions.parts import IDENTIFIED, SALT, SETTINGS

# Goes on only if the worker may submit, and a token is there.
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

# Stores one task. `outcome` is stored; duplicate, and then `id` is that of the task with this hash; or why it was
# refused: unknown_worker, no_project, may_not_submit, rate_limited.
#
# The uniqueness is the index's affair: no looking first, so racing submits of one hash leave one row. A token is taken
# only by a task that was stored.
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
            (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
        VALUES (_project, _recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count)
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

# Stores many, given as arrays of the same length, and answers their ids in the order sent, null where the hash was
# taken. Ids are drawn in the order sent, which is the order of leasing. The rows go in by hash, so that two racing
# batches with the same hashes meet them in the same order and can't wait for each other. What is joined has as many
# rows as are sent, so a nested loop would go through their square.
STORE_MANY = f"""
CREATE OR REPLACE FUNCTION queue_store_many(_project bigint, {_ARRAYS}) RETURNS bigint[]
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
            (id, project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count)
        SELECT item.id, _project, item.recipe, item.priority, item.max_retries, item.max_assign_time, item.hash64,
               item.verification_count
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

# The same for a worker. `outcome` is stored, or why nothing was, as above.
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
        _project, _recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count
    );
    IF _rate > 0 AND cardinality(array_remove(ids, NULL)) > 0 THEN
        PERFORM queue_charge(_project, 'submit', _rate, cardinality(array_remove(ids, NULL)));
    END IF;
END
$$
"""
