"""queue_heartbeat, queue_exchange_extending, and what they have in common; queue_cancelled."""

from tasks.models import Outcome
from tasks.queue.functions.lease import COLUMNS
from tasks.queue.functions.parts import IDENTIFIED, KNOWN, SALT, SETTINGS

# Which of these leases of the worker ended because their task was cancelled. Asked only of leases that it does not hold
# any more. The attempts must be found by their tasks, by the index attempt_by_task: IS NOT DISTINCT FROM keeps the
# planner from attempt_by_worker. A hash join, since a nested loop over both lists would be quadratic.
CANCELLED = f"""
CREATE OR REPLACE FUNCTION queue_cancelled(_worker bigint, _tasks bigint[], _leases uuid[]) RETURNS bool[]
{SETTINGS}
SET enable_nestloop = off
AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(ended.lease IS NOT NULL ORDER BY sent.place), '{{}}')
        FROM unnest(_tasks, _leases) WITH ORDINALITY AS sent (task_id, lease, place)
        LEFT JOIN (
            SELECT attempt.task_id, attempt.lease FROM tasks_attempt AS attempt
            WHERE attempt.task_id = ANY (_tasks) AND attempt.worker_id IS NOT DISTINCT FROM _worker
              AND attempt.outcome = {Outcome.CANCELLED}
        ) AS ended ON ended.task_id = sent.task_id AND ended.lease = sent.lease
    );
END
$$
"""

# Extends leases of a worker, given as arrays of equal length: each to its task's lease time from now, or by `_seconds`
# from now, at most by what its project allows. Without `_seconds`, no lease ends earlier than before. Returns for each
# when it ends, in Unix seconds, or null if the worker does not hold that lease; then `cancelled` says whether the task
# was cancelled under it. Of several for one lease, the last one counts.
#
# As in queue_settle, a first statement locks the rows in the order of their ids. The one that changes them finds them
# by ctid, and leaves those alone whose end stays the same.
EXTEND = f"""
CREATE OR REPLACE FUNCTION queue_extend(
    _worker bigint, _tasks bigint[], _leases uuid[], _seconds float8[],
    OUT expires float8[], OUT cancelled bool[]
)
{SETTINGS}
SET enable_nestloop = off
AS $$
DECLARE
    _places tid[];
    _held bigint[];
    _held_leases uuid[];
    _ends timestamptz[];
    _lost bigint[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT DISTINCT ON (locked.id) locked.*
        FROM (
            SELECT task.id, task.ctid, task.project_id, task.lease, task.lease_expires, task.max_assign_time,
                   sent.seconds, sent.place
            FROM unnest(_tasks, _leases, _seconds) WITH ORDINALITY AS sent (task_id, lease, seconds, place)
            JOIN tasks_task AS task ON task.id = sent.task_id
            WHERE task.id = ANY (_tasks) AND task.assignee_id IS NOT DISTINCT FROM _worker AND task.lease = sent.lease
            ORDER BY task.id, sent.place FOR UPDATE OF task
        ) AS locked
        ORDER BY locked.id, locked.place DESC
    ), project AS MATERIALIZED (
        SELECT project.id, project.lease_seconds, project.max_lease_seconds FROM projects_project AS project
        WHERE project.id = ANY (ARRAY(SELECT DISTINCT held.project_id FROM held))
    )
    SELECT array_agg(extended.ctid), array_agg(extended.id), array_agg(extended.lease), array_agg(extended.ends)
    INTO _places, _held, _held_leases, _ends
    FROM (
        SELECT held.ctid, held.id, held.lease,
               CASE WHEN held.seconds IS NULL THEN greatest(held.lease_expires, now() + make_interval(secs =>
                        CASE WHEN held.max_assign_time > 0 THEN held.max_assign_time ELSE project.lease_seconds END
                    ))
                    ELSE now() + make_interval(secs => least(held.seconds, project.max_lease_seconds)) END AS ends
        FROM held JOIN project ON project.id = held.project_id
    ) AS extended;

    UPDATE tasks_task AS task SET lease_expires = extended.ends
    FROM unnest(_places, _ends) AS extended (place, ends)
    WHERE task.ctid = ANY (_places) AND task.ctid = extended.place AND task.lease_expires <> extended.ends;

    SELECT coalesce(array_agg(extract(epoch FROM extended.ends)::float8 ORDER BY sent.place), '{{}}'),
           array_agg(sent.place ORDER BY sent.place) FILTER (WHERE extended.ends IS NULL)
    INTO expires, _lost
    FROM unnest(_tasks, _leases) WITH ORDINALITY AS sent (task_id, lease, place)
    LEFT JOIN unnest(_held, _held_leases, _ends) AS extended (id, lease, ends)
        ON extended.id = sent.task_id AND extended.lease = sent.lease;

    cancelled := array_fill(false, ARRAY[cardinality(_tasks)]);
    IF _lost IS NOT NULL THEN
        SELECT array_agg(ended.cancelled ORDER BY sent.place) INTO cancelled
        FROM unnest(_tasks) WITH ORDINALITY AS sent (task_id, place)
        LEFT JOIN unnest(_lost, queue_cancelled(
            _worker,
            ARRAY(SELECT _tasks[one.place] FROM unnest(_lost) WITH ORDINALITY AS one (place, n) ORDER BY n),
            ARRAY(SELECT _leases[one.place] FROM unnest(_lost) WITH ORDINALITY AS one (place, n) ORDER BY n)
        )) AS ended (place, cancelled) ON ended.place = sent.place;
    END IF;
END
$$
"""

# The commit does not wait for the disk: a lease that a crash of the database lets end early is as good as one that it
# loses; see LEASE.
HEARTBEAT = f"""
CREATE OR REPLACE FUNCTION queue_heartbeat(
    _worker bigint, _digest bytea, _tasks bigint[], _leases uuid[], _seconds float8[],
    OUT outcome text, OUT expires float8[], OUT cancelled bool[]
)
{SETTINGS}
AS $$
DECLARE
    {SALT}
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM FROM workers_worker AS worker WHERE {IDENTIFIED};
    IF NOT FOUND THEN
        outcome := 'unknown_worker';
        RETURN;
    END IF;
    outcome := 'extended';
    SELECT extended.expires, extended.cancelled INTO expires, cancelled
    FROM queue_extend(_worker, _tasks, _leases, _seconds) AS extended;
END
$$
"""

# queue_exchange_bounded with heartbeats: after the releases, so that those of released tasks are lost, and before the
# lease, which might take a task whose lease has expired. The rows of both lists are locked together, in the order of
# their ids: one list after the other, two such calls could wait for each other.
EXCHANGE_EXTENDING = f"""
CREATE OR REPLACE FUNCTION queue_exchange_extending(
    _worker bigint, _digest bytea, _project bigint, _wanted int,
    _tasks bigint[], _results int[], _verifications bigint[], _leases uuid[],
    _beat_tasks bigint[], _beat_leases uuid[], _beat_seconds float8[],
    _after_rank bigint, _after_id bigint, _most_bytes bigint, _allowed bigint, _told jsonb
) RETURNS TABLE ({COLUMNS}, missing int[], expires float8[], cancelled bool[])
{SETTINGS}
AS $$
DECLARE
    {SALT}
    _known bool;
    _missing int[];
    _expires float8[];
    _cancelled bool[];
BEGIN
    {KNOWN}
    outcome := CASE WHEN NOT FOUND THEN 'unknown_worker' WHEN _known IS NOT TRUE THEN 'no_project' END;
    IF outcome IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    PERFORM FROM tasks_task AS task
    WHERE task.id = ANY (_tasks || _beat_tasks) AND task.assignee_id IS NOT DISTINCT FROM _worker
    ORDER BY task.id FOR UPDATE;
    _missing := queue_settle(_worker, _tasks, _results, _verifications, _leases, _told);
    SELECT extended.expires, extended.cancelled INTO _expires, _cancelled
    FROM queue_extend(_worker, _beat_tasks, _beat_leases, _beat_seconds) AS extended;
    RETURN QUERY
    SELECT leased.*, CASE WHEN leased.outcome IS NOT NULL THEN _missing END,
           CASE WHEN leased.outcome IS NOT NULL THEN _expires END,
           CASE WHEN leased.outcome IS NOT NULL THEN _cancelled END
    FROM queue_lease_bounded(
        _worker, _digest, _project, _wanted, _after_rank, _after_id, true, _most_bytes, _allowed
    ) AS leased;
END
$$
"""
