"""queue_submit."""

from tasks.functions.parts import IDENTIFIED, SALT, SETTINGS

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
    {SALT}
    _identified bool;
    _known bool;
    _granted bool;
    _rate float8;
BEGIN
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
