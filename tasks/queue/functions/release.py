"""queue_release, queue_release_many and queue_exchange_bounded, and what they have in common."""

from tasks.durations import CLASSES, CLASSES_PER_E, SHORTEST_SECONDS
from tasks.models import Outcome
from tasks.queue.functions.lease import COLUMNS
from tasks.queue.functions.parts import IDENTIFIED, KNOWN, SALT, SETTINGS

# The row must be found by its id. `assignee_id = …` would imply `assignee_id IS NOT NULL`, which lets the planner use
# task_leased; that looks cheap as long as few tasks are leased. IS NOT DISTINCT FROM implies nothing.
_HELD = """task.id = _task AND task.assignee_id IS NOT DISTINCT FROM _worker
          AND task.lease = coalesce(_lease, task.lease)"""

# In which of the classes of tasks.durations a closed task's time falls: what the worker told, or else how long it had
# the lease.
_CLASS = f"""floor({CLASSES_PER_E} * ln(greatest(coalesce(
                    {{seconds}}, extract(epoch FROM now() - {{closed}}.assign_time)
                ), {SHORTEST_SECONDS}) / {SHORTEST_SECONDS}))"""


def class_of(seconds: str, closed: str) -> str:
    """The class of a closed task's time, from what the worker told (`seconds`) or the row's `assign_time`."""
    return f"least({_CLASS.format(seconds=seconds, closed=closed)}, {CLASSES - 1})::smallint"


KEPT = """id, project_id, worker_id, recipe, priority, retries, hash64, verification, voters, votes, created,
                 assign_time, submitter_id, message, output, seconds, version, closed"""
COPIED = (
    "project_id, recipe, priority, max_retries, max_assign_time, hash64, verification_count, submitter_id, head_start"
)

# How many workers agree on `{vote}`, with this one.
_AGREEING = """CASE
        WHEN task.voters = '{{}}' THEN 1
        ELSE queue_agreeing(task.project_id, task.voters, task.votes, _worker, {vote})
    END"""

# When a task closes, by the clock: later than everything that tasks.queries.results has told to be complete, even if
# the clock was set back. It must be read after the transaction has locked a row; see there.
MOMENT = """greatest(clock_timestamp(), (
                        SELECT greatest(settled.until, settled.next_until) FROM tasks_settled AS settled
                        WHERE settled.id = 1
                    ))"""

# Ends a lease. `outcome` is released, not_held or unknown_worker. After an OK that did not close the task, `missing`
# is the number of agreeing verifications that it still needs. `_told` is what else the worker told: an object with
# reason (a number), message, output (JSON as text) and seconds, each of which may be absent.
#
# After an OK, the votes decide whether the task is closed or the vote is added: one of the two, and only if the row
# still belongs to this worker. Closing deletes the row, so it happens only once.
RELEASE = f"""
CREATE OR REPLACE FUNCTION queue_release(
    _worker bigint, _digest bytea, _task bigint, _result int, _verification bigint = 0, _lease uuid = NULL,
    _told jsonb = NULL,
    OUT outcome text, OUT missing int
)
{SETTINGS}
AS $$
DECLARE
    {SALT}
    _closed tasks_task;
    _chain bigint;
    _days int;
    _version varchar;
    _seconds float8;
    _place tid;
    _project bigint;
    _held uuid;
    _began timestamptz;
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
          AND (task.verification_count <= 1 OR {_AGREEING.format(vote="_verification")} >= task.verification_count)
        RETURNING task.* INTO _closed;
        IF FOUND THEN
            SELECT project.chain_id, project.retention_days, project.version INTO _chain, _days, _version
            FROM projects_project AS project WHERE project.id = _closed.project_id;
            _seconds := (_told ->> 'seconds')::float8;
            IF _days > 0 THEN
                INSERT INTO tasks_closedtask ({KEPT})
                VALUES
                    (_closed.id, _closed.project_id, _worker, _closed.recipe, _closed.priority, _closed.retries,
                     _closed.hash64, _verification, _closed.voters, _closed.votes, _closed.created,
                     _closed.assign_time, _closed.submitter_id, _told ->> 'message', _told ->> 'output', _seconds,
                     _version, {MOMENT});
            END IF;
            INSERT INTO tasks_closedentry (project_id, worker_id, count, duration)
            VALUES (_closed.project_id, _worker, 1, {class_of("_seconds", "_closed")});
            IF NOT _closed.voters = '{{}}' THEN
                PERFORM queue_count_votes(
                    _closed.project_id, _closed.voters || _worker, _closed.votes || _verification, _verification
                );
            END IF;
            IF _chain IS NOT NULL THEN
                INSERT INTO tasks_task ({COPIED})
                VALUES
                    (_chain, _closed.recipe, _closed.priority, _closed.max_retries, _closed.max_assign_time,
                     _closed.hash64, _closed.verification_count, _closed.submitter_id,
                     queue_head_start((
                         SELECT following.ageing_seconds FROM projects_project AS following WHERE following.id = _chain
                     ), now()))
                ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING;
            END IF;
            RETURN;
        END IF;
    END IF;
    SELECT CASE WHEN _result = 0
                THEN task.verification_count - {_AGREEING.format(vote="_verification")} ELSE 0 END,
           task.ctid, task.project_id, task.lease, task.assign_time
    INTO missing, _place, _project, _held, _began
    FROM tasks_task AS task WHERE {_HELD} FOR UPDATE;
    IF NOT FOUND THEN
        missing := 0;
        outcome := 'not_held';
        RETURN;
    END IF;
    IF _result = 0 AND missing <= 0 THEN
        -- Somebody has lowered what the task requires between the two looks; now it is locked.
        SELECT again.outcome, again.missing INTO outcome, missing
        FROM queue_release(_worker, _digest, _task, _result, _verification, _lease, _told) AS again;
        RETURN;
    END IF;
    PERFORM queue_give_back(
        _worker, ARRAY[_place], ARRAY[_task], ARRAY[_project], ARRAY[_held], ARRAY[_began],
        ARRAY[_result], ARRAY[_verification],
        CASE WHEN _told IS NOT NULL THEN jsonb_build_array(_told) END
    );
END
$$
"""

# The workers of a worker's operator in a project, by a manager's marks; null if it has none.
KIN = f"""
CREATE OR REPLACE FUNCTION queue_kin(_project bigint, _worker bigint) RETURNS bigint[]
{SETTINGS} STABLE
AS $$
DECLARE
    _operator varchar;
BEGIN
    SELECT mark.operator INTO _operator
    FROM workers_operatormark AS mark WHERE mark.project_id = _project AND mark.worker_id = _worker;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT mark.worker_id FROM workers_operatormark AS mark
        WHERE mark.project_id = _project AND mark.operator = _operator
    );
END
$$
"""

# How many agree on `_verification`, the worker included. Those that are one operator's count once, where a manager has
# marked any.
AGREEING = f"""
CREATE OR REPLACE FUNCTION queue_agreeing(
    _project bigint, _voters bigint[], _votes bigint[], _worker bigint, _verification bigint
) RETURNS int
{SETTINGS} STABLE
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM workers_operatormark AS mark WHERE mark.project_id = _project) THEN
        RETURN cardinality(array_positions(_votes, _verification)) + 1;
    END IF;
    RETURN (
        SELECT count(DISTINCT coalesce(mark.operator, 'worker ' || one.worker))
        FROM (
            SELECT given.worker FROM unnest(_voters, _votes) AS given (worker, vote) WHERE given.vote = _verification
            UNION ALL
            SELECT _worker
        ) AS one
        LEFT JOIN workers_operatormark AS mark ON mark.project_id = _project AND mark.worker_id = one.worker
    );
END
$$
"""

# Counts how the votes on a task turned out that has closed: those for `_verification` have the majority.
COUNT_VOTES = f"""
CREATE OR REPLACE FUNCTION queue_count_votes(
    _project bigint, _voters bigint[], _votes bigint[], _verification bigint
) RETURNS void
{SETTINGS}
AS $$
BEGIN
    INSERT INTO tasks_outcomeentry (project_id, worker_id, outcome)
    SELECT _project, one.worker,
           CASE WHEN one.vote = _verification THEN {Outcome.AGREED} ELSE {Outcome.OUTVOTED} END
    FROM unnest(_voters, _votes) AS one (worker, vote)
    WHERE one.vote IS NOT NULL AND cardinality(array_remove(_votes, NULL)) > 1;
END
$$
"""

# The same for many reports, given as arrays of equal length. Returns for each report how many verifications are still
# needed (0: done), or null if the worker did not hold the task; this includes a second report of a task in the batch.
# `_told` is an array of objects as above, or nulls; it is null if nothing was told at all.
#
# A separate statement first locks the rows in the order of their ids and reads from them what each report does. The
# statement after it sees the rows as they are then, and nobody can change them any more, so it can find them by
# `ctid`. It reads no other rows, since tasks that this worker has leased in between are not locked. Both sides of each
# join have one row per report; a nested loop would be quadratic.
SETTLE = f"""
CREATE OR REPLACE FUNCTION queue_settle(
    _worker bigint, _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[], _told jsonb = NULL
) RETURNS int[]
{SETTINGS}
SET enable_nestloop = off
AS $$
DECLARE
    _held tid[];
    _places bigint[];
    _left tid[];
    _left_places bigint[];
    _left_tasks bigint[];
    _left_projects bigint[];
    _left_leases uuid[];
    _left_began timestamptz[];
    _left_missing int[];
    _missing int[];
BEGIN
    SELECT coalesce(array_agg(held.ctid) FILTER (WHERE held.missing = 0), '{{}}'),
           coalesce(array_agg(held.place) FILTER (WHERE held.missing = 0), '{{}}'),
           array_agg(held.ctid) FILTER (WHERE held.missing <> 0),
           array_agg(held.place) FILTER (WHERE held.missing <> 0),
           array_agg(held.id) FILTER (WHERE held.missing <> 0),
           array_agg(held.project_id) FILTER (WHERE held.missing <> 0),
           array_agg(held.lease) FILTER (WHERE held.missing <> 0),
           array_agg(held.assign_time) FILTER (WHERE held.missing <> 0),
           array_agg(greatest(held.missing, 0)) FILTER (WHERE held.missing <> 0)
    INTO _held, _places, _left, _left_places, _left_tasks, _left_projects, _left_leases, _left_began, _left_missing
    FROM (
        SELECT DISTINCT ON (locked.id) locked.*
        FROM (
            -- What is missing to close the task; -1 if the report doesn't try to.
            SELECT task.id, task.ctid, task.project_id, task.lease, task.assign_time, sent.place,
                   CASE WHEN sent.result = 0 THEN greatest(
                       task.verification_count - {_AGREEING.format(vote="sent.verification")}, 0
                   ) ELSE -1 END AS missing
            FROM unnest(_tasks, _results, _verifications, _leases) WITH ORDINALITY
                AS sent (task_id, result, verification, lease, place)
            JOIN tasks_task AS task ON task.id = sent.task_id
            WHERE task.id = ANY (_tasks) AND task.assignee_id IS NOT DISTINCT FROM _worker
              AND task.lease = coalesce(sent.lease, task.lease)
            ORDER BY task.id, sent.place FOR UPDATE OF task
        ) AS locked
        ORDER BY locked.id, locked.place
    ) AS held;

    IF cardinality(_held) > 0 THEN
        PERFORM queue_close(_worker, _held, _places, _verifications, _told);
    END IF;
    IF _left IS NOT NULL THEN
        PERFORM queue_give_back(
            _worker, _left, _left_tasks, _left_projects, _left_leases, _left_began,
            ARRAY(SELECT _results[one.place] FROM unnest(_left_places) WITH ORDINALITY AS one (place, n) ORDER BY n),
            ARRAY(
                SELECT _verifications[one.place] FROM unnest(_left_places) WITH ORDINALITY AS one (place, n) ORDER BY n
            ),
            CASE WHEN _told IS NOT NULL THEN (
                SELECT jsonb_agg(_told -> (one.place - 1)::int ORDER BY n)
                FROM unnest(_left_places) WITH ORDINALITY AS one (place, n)
            ) END
        );
    END IF;
    SELECT coalesce(array_agg(done.missing ORDER BY sent.place), '{{}}') INTO _missing
    FROM unnest(_tasks) WITH ORDINALITY AS sent (task_id, place)
    LEFT JOIN (
        SELECT unnest(_places) AS place, 0 AS missing
        UNION ALL
        SELECT unnest(_left_places), unnest(_left_missing)
    ) AS done ON done.place = sent.place;
    RETURN _missing;
END
$$
"""

# Closes the tasks that queue_settle has locked; `_places` are those of their reports.
CLOSE = f"""
CREATE OR REPLACE FUNCTION queue_close(
    _worker bigint, _held tid[], _places bigint[], _verifications bigint[], _told jsonb
) RETURNS void
{SETTINGS}
SET enable_nestloop = off
AS $$
DECLARE
    _moment timestamptz := {MOMENT};
BEGIN
    WITH report AS MATERIALIZED (
        SELECT held.ctid, _verifications[held.place] AS verification,
               CASE WHEN _told IS NOT NULL THEN _told -> (held.place - 1)::int END AS told
        FROM unnest(_held, _places) AS held (ctid, place)
    ), closed AS (
        DELETE FROM tasks_task AS task USING report
        WHERE task.ctid = ANY (_held) AND task.ctid = report.ctid
        RETURNING task.id, task.project_id, task.assignee_id, task.recipe, task.priority, task.retries, task.hash64,
                  task.voters, task.votes, task.created, task.assign_time, task.submitter_id, task.max_retries,
                  task.max_assign_time, task.verification_count, report.verification, report.told,
                  (report.told ->> 'seconds')::float8 AS seconds
    ), project AS MATERIALIZED (
        SELECT project.id, project.retention_days, project.chain_id, project.version,
               CASE WHEN project.chain_id IS NOT NULL THEN (
                   SELECT following.ageing_seconds FROM projects_project AS following
                   WHERE following.id = project.chain_id
               ) END AS ageing_after
        FROM projects_project AS project
        WHERE project.id = ANY (ARRAY(SELECT DISTINCT closed.project_id FROM closed))
    ), kept AS (
        INSERT INTO tasks_closedtask ({KEPT})
        SELECT closed.id, closed.project_id, closed.assignee_id, closed.recipe, closed.priority, closed.retries,
               closed.hash64, closed.verification, closed.voters, closed.votes, closed.created, closed.assign_time,
               closed.submitter_id, closed.told ->> 'message', closed.told ->> 'output', closed.seconds,
               project.version, _moment
        FROM closed JOIN project ON project.id = closed.project_id
        WHERE project.retention_days > 0
    ), counted AS (
        INSERT INTO tasks_closedentry (project_id, worker_id, count, duration)
        SELECT alike.project_id, _worker, sum(alike.count), {class_of("alike.seconds", "alike")}
        FROM (
            SELECT closed.project_id, closed.assign_time, closed.seconds, count(*) AS count FROM closed GROUP BY 1, 2, 3
        ) AS alike GROUP BY 1, 4
    ), chained AS (
        INSERT INTO tasks_task ({COPIED})
        SELECT project.chain_id, closed.recipe, closed.priority, closed.max_retries, closed.max_assign_time,
               closed.hash64, closed.verification_count, closed.submitter_id,
               queue_head_start(project.ageing_after, now())
        FROM closed JOIN project ON project.id = closed.project_id
        WHERE project.chain_id IS NOT NULL
        ORDER BY project.chain_id, closed.hash64, closed.id
        ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
    )
    SELECT count(queue_count_votes(
        closed.project_id, closed.voters || closed.assignee_id, closed.votes || closed.verification, closed.verification
    ))
    INTO _worker
    FROM closed WHERE NOT closed.voters = '{{}}';
END
$$
"""

RELEASE_MANY = f"""
CREATE OR REPLACE FUNCTION queue_release_many(
    _worker bigint, _digest bytea, _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[],
    _told jsonb = NULL,
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
    missing := queue_settle(_worker, _tasks, _results, _verifications, _leases, _told);
END
$$
"""

# Releases tasks, then leases others. A refused lease leaves the releases as they are, unless the project does not exist
# for the worker. `missing` is as above, in the last row; null if nothing was done.
EXCHANGE = f"""
CREATE OR REPLACE FUNCTION queue_exchange_bounded(
    _worker bigint, _digest bytea, _project bigint, _wanted int,
    _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[],
    _after_rank bigint = NULL, _after_id bigint = NULL,
    _most_bytes bigint = {16 * 1024 * 1024}, _allowed bigint = NULL, _told jsonb = NULL
) RETURNS TABLE ({COLUMNS}, missing int[])
{SETTINGS}
AS $$
DECLARE
    {SALT}
    _known bool;
    _missing int[];
BEGIN
    {KNOWN}
    outcome := CASE WHEN NOT FOUND THEN 'unknown_worker' WHEN _known IS NOT TRUE THEN 'no_project' END;
    IF outcome IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    _missing := queue_settle(_worker, _tasks, _results, _verifications, _leases, _told);
    RETURN QUERY
    SELECT leased.*, CASE WHEN leased.outcome IS NOT NULL THEN _missing END
    FROM queue_lease_bounded(
        _worker, _digest, _project, _wanted, _after_rank, _after_id, true, _most_bytes, _allowed
    ) AS leased;
END
$$
"""
