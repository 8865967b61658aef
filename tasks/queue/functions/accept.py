"""queue_accept: a manager decides for one of the hashes on which the workers didn't agree."""

from tasks.models import Outcome
from tasks.queue.functions.parts import SETTINGS
from tasks.queue.functions.release import COPIED, KEPT, MOMENT, class_of

# Closes a task that nobody holds as if the first worker that voted for `_verification` had closed it. What this worker
# told with its vote becomes the closed task's. Returns whether there was such a task with such a vote.
ACCEPT = f"""
CREATE OR REPLACE FUNCTION queue_accept(_project bigint, _task bigint, _verification bigint) RETURNS bool
{SETTINGS}
AS $$
DECLARE
    _closed tasks_task;
    _place int;
    _worker bigint;
    _vote record;
    _chain bigint;
    _days int;
BEGIN
    DELETE FROM tasks_task AS task
    WHERE task.id = _task AND task.project_id = _project AND task.assignee_id IS NULL
      AND _verification = ANY (task.votes)
    RETURNING task.* INTO _closed;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    _place := array_position(_closed.votes, _verification);
    _worker := _closed.voters[_place];
    PERFORM queue_count_votes(_project, _closed.voters, _closed.votes, _verification);
    _closed.voters := _closed.voters[:_place - 1] || _closed.voters[_place + 1:];
    _closed.votes := _closed.votes[:_place - 1] || _closed.votes[_place + 1:];
    SELECT attempt.* INTO _vote FROM tasks_attempt AS attempt
    WHERE attempt.task_id = _task AND attempt.worker_id = _worker AND attempt.outcome = {Outcome.VOTED}
    ORDER BY attempt.id DESC LIMIT 1;
    _closed.assign_time := coalesce(_vote.began, _closed.created);
    SELECT project.chain_id, project.retention_days INTO _chain, _days
    FROM projects_project AS project WHERE project.id = _project;
    IF _days > 0 THEN
        INSERT INTO tasks_closedtask ({KEPT})
        VALUES
            (_closed.id, _project, _worker, _closed.recipe, _closed.priority, _closed.retries, _closed.hash64,
             _verification, _closed.voters, _closed.votes, _closed.created, _closed.assign_time, _closed.submitter_id,
             _vote.message, _vote.output, _vote.seconds, coalesce(_vote.version, ''), {MOMENT});
    END IF;
    INSERT INTO tasks_closedentry (project_id, worker_id, count, duration)
    VALUES (_project, _worker, 1, {
    class_of("coalesce(_vote.seconds, extract(epoch FROM _vote.ended - _vote.began))", "_closed")
});
    IF _chain IS NOT NULL THEN
        INSERT INTO tasks_task ({COPIED})
        VALUES
            (_chain, _closed.recipe, _closed.priority, _closed.max_retries, _closed.max_assign_time, _closed.hash64,
             _closed.verification_count, _closed.submitter_id,
             queue_head_start((
                 SELECT following.ageing_seconds FROM projects_project AS following WHERE following.id = _chain
             ), now()))
        ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING;
    END IF;
    RETURN true;
END
$$
"""
