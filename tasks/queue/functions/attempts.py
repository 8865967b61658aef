"""What remains of a lease that ended without closing its task: queue_fingerprint, queue_give_back and queue_end."""

from projects.models import Backoff
from tasks.models import Outcome, Reason
from tasks.queue.functions.parts import SETTINGS, UNLEASED

# How much of a message its fingerprint is made of, in characters.
LONGEST = 1_000

# What failed attempts of the same kind share: 64 bits of a hash of outcome, reason and message. Words with a digit in
# them are taken out of the message (numbers, ids, times, addresses, temporary names), and so are URLs, mail addresses
# and the rest of a UUID; lists of such words, however long, become one.
FINGERPRINT = rf"""
CREATE OR REPLACE FUNCTION queue_fingerprint(_outcome int, _reason int, _message text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ('x' || left(md5(concat_ws(E'\n', _outcome, coalesce(_reason, {Reason.ERROR}),
        regexp_replace(regexp_replace(regexp_replace(regexp_replace(
            lower(left(coalesce(_message, ''), {LONGEST})),
            '\w+://\S+|\S+@\S+|[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}', '#', 'g'),
            '\w*\d\w*', '#', 'g'),
            '[+-]?#([\s,;:./+-]*#)*', '#', 'g'),
            '\s+', ' ', 'g')
    )), 16))::bit(64)::bigint
$$
"""

# Whether a release counts as a retry, and whether it makes the task FAILED.
_COUNTS = f"(ended.result = 1 AND coalesce(ended.reason, 0) NOT IN ({Reason.SHUTDOWN}, {Reason.BUSY}))"
_FAILS = f"""(coalesce(ended.reason, 0) IN ({Reason.BAD_RECIPE}, {Reason.DISAGREEMENT})
                 OR {_COUNTS} AND task.retries + 1 >= task.max_retries)"""

# How many seconds the task waits for its next attempt: as its worker says, or after a FAIL that counts as its project
# says. Null: it doesn't wait. The exponent is bounded, since numbers have an end.
_WAITS = f"""CASE
            WHEN {_FAILS} THEN NULL
            WHEN ended.retry_after IS NOT NULL THEN nullif(ended.retry_after, 0)
            WHEN {_COUNTS} AND ended.backoff <> '{Backoff.NONE}' THEN least(
                ended.retry_max_seconds,
                ended.retry_seconds * CASE ended.backoff
                    WHEN '{Backoff.LINEAR}' THEN task.retries + 1
                    WHEN '{Backoff.EXPONENTIAL}' THEN power(2, least(task.retries, 60))
                    ELSE 1
                END
            ) * (1 - random() * ended.retry_jitter / 100)
        END"""

# Ends leases of a worker whose tasks it has not closed: adds its votes, counts its failures, and writes down the
# attempts. The arrays are of equal length: first what the caller has read of the tasks while it locked them, so that
# they need not be read again (`_places` are their ctids), then the reports. `_told` has what else the worker told of
# each, as an array of objects or nulls; it is null if nothing was told at all.
#
# A task that is not for the worker gets it as a voter without a vote, so that it is passed over as its other votes are.
GIVE_BACK = f"""
CREATE OR REPLACE FUNCTION queue_give_back(
    _worker bigint, _places tid[], _tasks bigint[], _projects bigint[], _leases uuid[], _began timestamptz[],
    _results int[], _verifications bigint[], _told jsonb
) RETURNS void
{SETTINGS}
SET enable_nestloop = off
AS $$
BEGIN
    WITH sent AS MATERIALIZED (
        SELECT one.place, one.id, one.project_id, one.lease, one.began, one.result, one.verification,
               (one.told ->> 'reason')::int AS told_reason,
               one.told ->> 'message' AS message, one.told ->> 'output' AS output,
               (one.told ->> 'seconds')::float8 AS seconds, (one.told ->> 'retry_after')::float8 AS retry_after
        FROM (
            SELECT report.*, _told -> (report.number - 1)::int AS told
            FROM unnest(_places, _tasks, _projects, _leases, _began, _results, _verifications) WITH ORDINALITY
                AS report (place, id, project_id, lease, began, result, verification, number)
        ) AS one
    ), project AS MATERIALIZED (
        SELECT project.id, project.version, project.max_votes, project.retry_backoff AS backoff, project.retry_seconds,
               project.retry_max_seconds, project.retry_jitter
        FROM projects_project AS project
        WHERE project.id = ANY (ARRAY(SELECT DISTINCT sent.project_id FROM sent))
    ), reported AS MATERIALIZED (
        SELECT sent.*, project.version, project.backoff, project.retry_seconds, project.retry_max_seconds,
               project.retry_jitter,
               CASE WHEN sent.result > 0 THEN sent.told_reason
                    WHEN project.max_votes > 0 AND project.max_votes <= 1 + (
                        SELECT cardinality(array_remove(task.votes, NULL)) FROM tasks_task AS task
                        WHERE task.ctid = sent.place
                    ) THEN {Reason.DISAGREEMENT} END AS reason
        FROM sent JOIN project ON project.id = sent.project_id
    ), ended AS MATERIALIZED (
        SELECT reported.*,
               CASE reported.result WHEN 0 THEN {Outcome.VOTED} WHEN 1 THEN {Outcome.FAILED}
                    ELSE {Outcome.SKIPPED} END AS outcome,
               CASE WHEN reported.reason = {Reason.DISAGREEMENT}
                    THEN queue_fingerprint({Outcome.FAILED}, reported.reason, NULL)
                    WHEN reported.result = 1 OR reported.reason = {Reason.BAD_RECIPE}
                    THEN queue_fingerprint({Outcome.FAILED}, reported.reason, reported.message) END AS fingerprint
        FROM reported
    ), attempt AS (
        INSERT INTO tasks_attempt
            (task_id, project_id, worker_id, lease, began, outcome, reason, message, output, seconds, version,
             fingerprint)
        SELECT ended.id, ended.project_id, _worker, ended.lease, ended.began, ended.outcome, ended.reason,
               ended.message, ended.output, ended.seconds, ended.version, ended.fingerprint
        FROM ended
        RETURNING id, project_id, outcome, fingerprint
    ), counted AS (
        INSERT INTO tasks_outcomeentry (project_id, worker_id, outcome, attempt)
        SELECT attempt.project_id, _worker, attempt.outcome,
               CASE WHEN attempt.fingerprint IS NOT NULL THEN attempt.id END
        FROM attempt
    )
    UPDATE tasks_task AS task
    SET voters = CASE WHEN ended.result = 0 OR ended.reason = {Reason.NOT_FOR_ME} THEN task.voters || _worker
                      ELSE task.voters END,
        votes = CASE WHEN ended.result = 0 THEN task.votes || ended.verification
                     WHEN ended.reason = {Reason.NOT_FOR_ME} THEN array_append(task.votes, NULL) ELSE task.votes END,
        retries = task.retries + {_COUNTS}::int,
        status = CASE WHEN {_FAILS} THEN 2 WHEN {_WAITS} IS NOT NULL THEN 3 ELSE 1 END,
        run_at = now() + make_interval(secs => {_WAITS}),
        failure = CASE WHEN {_FAILS} THEN ended.fingerprint END,
        {UNLEASED}
    FROM ended
    WHERE task.ctid = ANY (_places) AND task.ctid = ended.place;
END
$$
"""

# Ends the leases of these tasks without their workers: `_outcome` says why. The rows are locked by the caller. A task
# whose leases have expired as often as its project allows becomes FAILED.
END = f"""
CREATE OR REPLACE FUNCTION queue_end(_tasks bigint[], _outcome int) RETURNS void
{SETTINGS}
AS $$
BEGIN
    WITH ended AS MATERIALIZED (
        SELECT task.id, task.project_id, task.assignee_id, task.lease, task.assign_time,
               CASE WHEN _outcome = {Outcome.EXPIRED} THEN queue_fingerprint(_outcome, NULL, NULL) END AS fingerprint
        FROM tasks_task AS task WHERE task.id = ANY (_tasks)
    ), project AS MATERIALIZED (
        SELECT project.id, project.version, project.max_expiries FROM projects_project AS project
        WHERE project.id = ANY (ARRAY(SELECT DISTINCT ended.project_id FROM ended))
    ), attempt AS (
        INSERT INTO tasks_attempt
            (task_id, project_id, worker_id, lease, began, outcome, version, fingerprint)
        SELECT ended.id, ended.project_id, ended.assignee_id, ended.lease, ended.assign_time, _outcome,
               project.version, ended.fingerprint
        FROM ended JOIN project ON project.id = ended.project_id
        RETURNING id, project_id, worker_id, fingerprint
    ), counted AS (
        INSERT INTO tasks_outcomeentry (project_id, worker_id, outcome, attempt)
        SELECT attempt.project_id, attempt.worker_id, _outcome,
               CASE WHEN attempt.fingerprint IS NOT NULL THEN attempt.id END
        FROM attempt
    ), exhausted AS (
        SELECT ended.id FROM ended JOIN project ON project.id = ended.project_id
        JOIN tasks_task AS task ON task.id = ended.id
        WHERE task.id = ANY (_tasks) AND _outcome = {Outcome.EXPIRED}
          AND project.max_expiries > 0 AND task.expiries + 1 >= project.max_expiries
    )
    UPDATE tasks_task AS task
    SET expiries = CASE WHEN _outcome = {Outcome.EXPIRED} THEN least(task.expiries + 1, 32767) ELSE task.expiries END,
        status = CASE WHEN exhausted.id IS NULL THEN 1 ELSE 2 END,
        failure = CASE WHEN exhausted.id IS NULL THEN NULL ELSE ended.fingerprint END,
        {UNLEASED}
    FROM ended LEFT JOIN exhausted ON exhausted.id = ended.id
    WHERE task.id = ANY (_tasks) AND task.id = ended.id;
END
$$
"""
