"""queue_submit, queue_submit_many and queue_store_many, and queue_head_start that they share with chains."""

from tasks.queue.functions.parts import IDENTIFIED, SALT, SETTINGS

# Continues only if the worker may submit and a token is available.
_VARIABLES = f"""
    {SALT}
    _identified bool;
    _known bool;
    _granted bool;
    _rate float8;
    _ageing int;
""".strip()
_CHECKED = f"""
    SELECT true, NOT project.hidden OR access.assign OR access.submit, access.submit, project.submit_rate,
           project.ageing_seconds
    INTO _identified, _known, _granted, _rate, _ageing
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

# What is added to the priority of a task that waits from this moment on: as many as there would have been steps since
# 1970 are taken off. So whoever has waited a step longer than another one has one more, and no rank ever changes. Null
# without ageing.
HEAD_START = """
CREATE OR REPLACE FUNCTION queue_head_start(_ageing int, _since timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN _ageing > 0 THEN -floor(extract(epoch FROM _since) / _ageing)::bigint END
$$
"""

# When a task becomes ready and expires. `{timing}` is an object with the Unix seconds `run_at` and `expires_at`, or the
# seconds from now `delay` and `expires_in`; null for a task that has none of them, which is ready at once.
_RUN_AT = """coalesce(
    to_timestamp(({timing} ->> 'run_at')::float8), now() + make_interval(secs => ({timing} ->> 'delay')::float8)
)"""
_EXPIRES_AT = """coalesce(
    to_timestamp(({timing} ->> 'expires_at')::float8),
    now() + make_interval(secs => ({timing} ->> 'expires_in')::float8)
)"""

# Stores one task. `outcome` is stored; duplicate, with the id of the task that has this hash; or the reason for
# refusing it: unknown_worker, no_project, may_not_submit, rate_limited.
#
# The unique index alone ensures uniqueness, without a SELECT before, so of racing submits with the same hash one is
# stored. Only a stored task takes a token.
SUBMIT = f"""
CREATE OR REPLACE FUNCTION queue_submit(
    _worker bigint, _digest bytea, _project bigint, _recipe text, _priority int = 0, _max_retries int = 0,
    _max_assign_time int = 0, _hash64 bigint = NULL, _verification_count int = 0, _timing jsonb = NULL,
    OUT outcome text, OUT delay float8, OUT id bigint
)
{SETTINGS}
AS $$
DECLARE
    {_VARIABLES}
    _run_at timestamptz;
    _expires_at timestamptz;
    _head_start bigint;
BEGIN
{_CHECKED}
    IF _timing IS NOT NULL THEN
        _run_at := {_RUN_AT.format(timing="_timing")};
        _expires_at := {_EXPIRES_AT.format(timing="_timing")};
        IF _run_at <= now() THEN
            _run_at := NULL;
        END IF;
    END IF;
    IF _ageing > 0 THEN
        _head_start := queue_head_start(_ageing, coalesce(_run_at, now()));
    END IF;
    LOOP
        INSERT INTO tasks_task AS task
            (project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count, submitter_id,
             head_start, rank, status, run_at, expires_at)
        VALUES (_project, _recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count, _worker,
                _head_start, _priority + coalesce(_head_start, 0), CASE WHEN _run_at IS NULL THEN 1 ELSE 3 END,
                _run_at, _expires_at)
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


def _store(*, timed: bool) -> str:
    """The statement of STORE_MANY; `timed`, for tasks of which some have a timing."""
    item, columns, values = "sent.*", "", ""
    if timed:
        item = f"""sent.*, {_RUN_AT.format(timing="_timing -> (sent.place - 1)::int")} AS run_at,
               {_EXPIRES_AT.format(timing="_timing -> (sent.place - 1)::int")} AS expires_at"""
        columns = ", status, run_at, expires_at"
        values = """, CASE WHEN item.run_at > now() THEN 3 ELSE 1 END,
               CASE WHEN item.run_at > now() THEN item.run_at END, item.expires_at"""
    head_start = "queue_head_start(_ageing, greatest(item.run_at, now()))" if timed else "_head_start"
    return f"""
    WITH item AS MATERIALIZED (
        SELECT nextval('tasks_task_id_seq') AS id, {item}
        FROM unnest(_recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count) WITH ORDINALITY
            AS sent (recipe, priority, max_retries, max_assign_time, hash64, verification_count, place)
    ), added AS (
        INSERT INTO tasks_task
            (id, project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count, submitter_id,
             head_start, rank{columns})
        SELECT item.id, _project, item.recipe, item.priority, item.max_retries, item.max_assign_time, item.hash64,
               item.verification_count, _submitter, {head_start}, item.priority + coalesce({head_start}, 0){values}
        FROM item
        ORDER BY item.hash64, item.place
        ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
        RETURNING id
    )
    SELECT array_agg(added.id ORDER BY item.place) INTO _ids FROM item LEFT JOIN added ON added.id = item.id;"""


# Stores many tasks, given as arrays of equal length. Returns their ids in the order sent, null where the hash was
# taken. Ids are assigned in the order sent, which becomes the order of leasing. Rows are inserted in the order of
# their hashes, so that racing batches with the same hashes can't deadlock. Both sides of the join have one row per
# task; a nested loop would be quadratic. `_timing` is an array of objects as above or nulls, and null if none has one.
STORE_MANY = f"""
CREATE OR REPLACE FUNCTION queue_store_many(
    _project bigint, {_ARRAYS}, _submitter bigint = NULL, _timing jsonb = NULL
) RETURNS bigint[]
{SETTINGS}
SET enable_nestloop = off
AS $$
DECLARE
    _ageing int;
    _head_start bigint;
    _ids bigint[];
BEGIN
    SELECT project.ageing_seconds INTO _ageing FROM projects_project AS project WHERE project.id = _project;
    IF _timing IS NULL THEN
        _head_start := queue_head_start(_ageing, now());
        {_store(timed=False)}
    ELSE
        {_store(timed=True)}
    END IF;
    RETURN _ids;
END
$$
"""

# The same for a worker. `outcome` is stored, or the reason why nothing was, as above.
SUBMIT_MANY = f"""
CREATE OR REPLACE FUNCTION queue_submit_many(
    _worker bigint, _digest bytea, _project bigint, {_ARRAYS}, _timing jsonb = NULL,
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
        _project, _recipe, _priority, _max_retries, _max_assign_time, _hash64, _verification_count, _worker, _timing
    );
    IF _rate > 0 AND cardinality(array_remove(ids, NULL)) > 0 THEN
        PERFORM queue_charge(_project, 'submit', _rate, cardinality(array_remove(ids, NULL)));
    END IF;
END
$$
"""
