"""queue_make_due and queue_fail_expired: what happens to tasks when their time comes."""

from tasks.models import Outcome, Reason
from tasks.queue.functions.parts import IN_ORDER

# Makes up to `_most` delayed tasks ready whose time has come. Returns their number. Goes along the index task_delayed
# from one project that has any to the next: the first entry of each tells whether there is something to do.
MAKE_DUE = f"""
CREATE OR REPLACE FUNCTION queue_make_due(_most int) RETURNS int
{IN_ORDER}
AS $$
DECLARE
    _project bigint := 0;
    _first timestamptz;
    _now int;
    _made int := 0;
BEGIN
    LOOP
        SELECT task.project_id, task.run_at INTO _project, _first FROM tasks_task AS task
        WHERE task.status = 3 AND task.project_id > _project
        ORDER BY task.project_id, task.run_at, task.id LIMIT 1;
        EXIT WHEN NOT FOUND OR _made >= _most;
        CONTINUE WHEN _first > now();
        UPDATE tasks_task AS task SET status = 1, run_at = NULL
        WHERE task.id = ANY (ARRAY(
            SELECT due.id FROM tasks_task AS due
            WHERE due.status = 3 AND due.project_id = _project AND due.run_at <= now()
            ORDER BY due.run_at, due.id
            LIMIT _most - _made
            FOR UPDATE SKIP LOCKED
        ));
        GET DIAGNOSTICS _now = ROW_COUNT;
        _made := _made + _now;
    END LOOP;
    RETURN _made;
END
$$
"""

# Makes up to `_most` tasks FAILED that have expired and that nobody holds. Returns their number. Uses the index
# task_expiring.
FAIL_EXPIRED = f"""
CREATE OR REPLACE FUNCTION queue_fail_expired(_most int) RETURNS int
{IN_ORDER}
AS $$
DECLARE
    _expired bigint[];
    _fingerprint bigint := queue_fingerprint({Outcome.FAILED}, {Reason.EXPIRED}, NULL);
BEGIN
    _expired := ARRAY(
        SELECT task.id FROM tasks_task AS task
        WHERE task.expires_at IS NOT NULL AND task.assignee_id IS NULL AND task.status IN (1, 3)
          AND task.expires_at <= now()
        ORDER BY task.expires_at
        LIMIT _most
        FOR UPDATE SKIP LOCKED
    );
    IF _expired = '{{}}' THEN
        RETURN 0;
    END IF;
    WITH attempt AS (
        INSERT INTO tasks_attempt (task_id, project_id, outcome, reason, version, fingerprint)
        SELECT task.id, task.project_id, {Outcome.FAILED}, {Reason.EXPIRED}, project.version, _fingerprint
        FROM tasks_task AS task JOIN projects_project AS project ON project.id = task.project_id
        WHERE task.id = ANY (_expired)
        RETURNING id, project_id
    ), counted AS (
        INSERT INTO tasks_outcomeentry (project_id, outcome, attempt)
        SELECT attempt.project_id, {Outcome.FAILED}, attempt.id FROM attempt
    )
    UPDATE tasks_task AS task SET status = 2, run_at = NULL, failure = _fingerprint WHERE task.id = ANY (_expired);
    RETURN cardinality(_expired);
END
$$
"""
