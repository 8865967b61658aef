"""queue_lease, and what it needs for tasks that others have verified."""

from tasks.queue.functions.parts import FIRST, FRESH, IDENTIFIED, IN_ORDER, SALT, VOTED

# What a lease answers: a row for each task, in any order, and at last one that says how it went, with the project and
# the id of the last of the tasks that was fresh. `assign_time` in Unix seconds.
COLUMNS = """
    outcome text, delay float8, visited bigint, last_fresh bigint,
    project_id bigint, project_priority int, name varchar, clone_url varchar, git_repo varchar, version varchar,
    motd text, public bool, hidden bool, chain_id bigint, paused bool, assign_rate float8, submit_rate float8,
    id bigint, priority smallint, assignee_id bigint, retries int, max_retries int, status smallint, recipe text,
    max_assign_time int, verification_count smallint, assign_time bigint, lease text
"""

# Leases up to `_wanted` tasks of a project: those with the highest priority, the oldest first; where there are not
# enough, those whose lease ran out.
#
# `_after_…`: of the fresh tasks, look only at those behind this place, even if there are none. Each lease leaves a dead
# entry at the head of task_fresh; while a vacuum is late, or has to leave them for the old snapshot of another session,
# each lease steps over all of them. `visited` tells how many pages of the index were read, of which frontier.py
# makes such a place.
#
# Its commit does not wait for the disk, unless it is `_durable`. A lease that a crash of the database takes away is a
# task that is given twice, which at-least-once allows; and the disk is most of what a lease would wait for. The setting
# ends with the transaction: nothing that must not be lost can stand in one with it.
LEASE = f"""
CREATE OR REPLACE FUNCTION queue_lease(
    _worker bigint, _digest bytea, _project bigint, _wanted int,
    _after_priority int = NULL, _after_id bigint = NULL, _durable bool = false
) RETURNS TABLE ({COLUMNS})
{IN_ORDER}
AS $$
DECLARE
    {SALT}
    _pages bigint := pg_stat_get_xact_blocks_fetched('task_fresh'::regclass);
    _worker_paused bool;
    _granted bool;
    _seconds int;
    _any_voted bool;
    _ids bigint[] := '{{}}';
    _fresh bigint[] := '{{}}';
BEGIN
    IF NOT _durable THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    SELECT worker.paused, coalesce(access.assign OR access.submit, false), project.lease_seconds,
           project.id, project.priority, project.name, project.clone_url, project.git_repo, project.version,
           project.motd, project.public, project.hidden, project.chain_id, project.paused, project.assign_rate,
           project.submit_rate,
           coalesce((SELECT true FROM tasks_task AS task WHERE {VOTED} {FIRST} LIMIT 1), false)
    INTO _worker_paused, _granted, _seconds,
         project_id, project_priority, name, clone_url, git_repo, version,
         motd, public, hidden, chain_id, paused, assign_rate,
         submit_rate,
         _any_voted
    FROM workers_worker AS worker
    LEFT JOIN projects_project AS project ON project.id = _project
    LEFT JOIN workers_workeraccess AS access ON access.project_id = _project AND access.worker_id = _worker
    WHERE {IDENTIFIED};
    outcome := CASE
        WHEN _worker_paused IS NULL THEN 'unknown_worker'
        WHEN project_id IS NULL OR hidden AND NOT _granted THEN 'no_project'
        WHEN _worker_paused THEN 'worker_paused'
        WHEN NOT (public OR _granted) THEN 'no_access'
        WHEN paused THEN 'project_paused'
    END;
    IF outcome IS NULL AND assign_rate > 0 THEN
        delay := queue_wait(_project, 'assign');
        IF delay > 0 THEN
            outcome := 'rate_limited';
        ELSE
            delay := NULL;
        END IF;
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;

    IF _any_voted THEN
        _ids := queue_lock_voted(_worker, _project, _wanted, _after_priority, _after_id, true, '{{}}');
    END IF;
    IF _after_id IS NULL THEN
        IF cardinality(_ids) < _wanted THEN
            _fresh := ARRAY(
                SELECT task.id FROM tasks_task AS task WHERE {FRESH}
                {FIRST} LIMIT _wanted - cardinality(_ids) FOR UPDATE SKIP LOCKED
            );
        END IF;
        _ids := _ids || _fresh;
        IF cardinality(_ids) < _wanted AND _any_voted THEN
            _ids := _ids || queue_lock_voted(_worker, _project, _wanted - cardinality(_ids), NULL, NULL, false, _ids);
        END IF;
    ELSE
        IF cardinality(_ids) < _wanted THEN
            _fresh := ARRAY(
                SELECT task.id FROM tasks_task AS task WHERE {FRESH}
                  AND task.priority = _after_priority AND task.id > _after_id
                {FIRST} LIMIT _wanted - cardinality(_ids) FOR UPDATE SKIP LOCKED
            );
        END IF;
        IF cardinality(_ids) + cardinality(_fresh) < _wanted THEN
            _fresh := _fresh || ARRAY(
                SELECT task.id FROM tasks_task AS task WHERE {FRESH} AND task.priority < _after_priority
                {FIRST} LIMIT _wanted - cardinality(_ids) - cardinality(_fresh) FOR UPDATE SKIP LOCKED
            );
        END IF;
        _ids := _ids || _fresh;
    END IF;
    IF cardinality(_ids) < _wanted THEN
        _ids := _ids || ARRAY(
            SELECT task.id FROM tasks_task AS task
            WHERE task.project_id = _project AND task.assignee_id IS NOT NULL AND task.lease_expires <= now()
              AND _worker <> ALL (task.voters)
            ORDER BY task.lease_expires LIMIT _wanted - cardinality(_ids) FOR UPDATE SKIP LOCKED
        );
    END IF;

    RETURN QUERY
    UPDATE tasks_task AS task
    SET assignee_id = _worker,
        lease = gen_random_uuid(),
        assign_time = now(),
        lease_expires = now() + make_interval(
            secs => CASE WHEN task.max_assign_time > 0 THEN task.max_assign_time ELSE _seconds END
        )
    WHERE task.id = ANY (_ids)
    RETURNING NULL::text, NULL::float8, NULL::bigint, NULL::bigint,
              NULL::bigint, NULL::int, NULL::varchar, NULL::varchar, NULL::varchar, NULL::varchar,
              NULL::text, NULL::bool, NULL::bool, NULL::bigint, NULL::bool, NULL::float8, NULL::float8,
              task.id, task.priority, task.assignee_id, task.retries, task.max_retries, task.status, task.recipe,
              task.max_assign_time, task.verification_count, floor(extract(epoch FROM task.assign_time))::bigint,
              task.lease::text;
    IF cardinality(_ids) > 0 AND assign_rate > 0 THEN
        PERFORM queue_charge(_project, 'assign', assign_rate, cardinality(_ids));
    END IF;
    outcome := CASE WHEN cardinality(_ids) > 0 THEN 'leased' WHEN _any_voted THEN 'verified_all' ELSE 'empty' END;
    last_fresh := _fresh[cardinality(_fresh)];
    visited := pg_stat_get_xact_blocks_fetched('task_fresh'::regclass) - _pages;
    RETURN NEXT;
END
$$
"""

# Locks up to `_wanted` of the tasks that others have verified and this worker has not, and answers their ids: with
# `_in_order` only those that come before the fresh ones.
#
# The first of task_voted are looked at, but only so many: if the worker has verified all of these, it may have verified
# 100,000. Then task_voters leads from each group of voters to the next, and only groups without this worker are looked
# into; BETWEEN and the order by what is the same in all of a group leave the planner no other index. Others may be
# locking the same tasks at this moment, so it looks again for others.
#
# The candidates are locked by their ids. Whether they may still be leased is asked within CASE, which the planner does
# not look into: seeing that the condition implies the predicate of task_voted, it could read that index instead, and
# pass over all that come before the candidates.
#
# No plan is compiled. Up to PostgreSQL 17, one that has to sort although that is switched off counts as so expensive
# that each call would compile it, which takes longer than all the rest.
LOCK_VOTED = f"""
CREATE OR REPLACE FUNCTION queue_lock_voted(
    _worker bigint, _project bigint, _wanted int, _after_priority int, _after_id bigint, _in_order bool, _taken bigint[]
) RETURNS bigint[]
{IN_ORDER}
SET jit = off
AS $$
DECLARE
    _by_groups bool := false;
    -- What the caller has locked would be found again.
    _tried bigint[] := _taken;
    _locked bigint[] := '{{}}';
    _candidates bigint[];
    _priorities smallint[];
BEGIN
    WHILE cardinality(_locked) < _wanted AND cardinality(_tried) < cardinality(_taken) + 16 + 2 * _wanted LOOP
        IF NOT _by_groups THEN
            SELECT coalesce(array_agg(first.id), '{{}}'), array_agg(first.priority) INTO _candidates, _priorities
            FROM (
                SELECT nearest.id, nearest.priority FROM (
                    SELECT task.id, task.priority, task.voters FROM tasks_task AS task WHERE {VOTED}
                    {FIRST} LIMIT 100 + 2 * _wanted + cardinality(_taken)
                ) AS nearest
                WHERE _worker <> ALL (nearest.voters) AND nearest.id <> ALL (_tried)
                ORDER BY nearest.priority DESC, nearest.id
                LIMIT _wanted - cardinality(_locked)
            ) AS first;
        ELSE
            WITH RECURSIVE voter_group AS (
                (
                    SELECT task.voters[1:100] AS voters FROM tasks_task AS task WHERE {VOTED}
                    ORDER BY task.voters[1:100] LIMIT 1
                ) UNION ALL (
                    SELECT following.voters FROM voter_group CROSS JOIN LATERAL (
                        SELECT task.voters[1:100] AS voters FROM tasks_task AS task
                        WHERE {VOTED} AND task.voters[1:100] > voter_group.voters
                        ORDER BY task.voters[1:100] LIMIT 1
                    ) AS following
                )
            )
            SELECT coalesce(array_agg(first.id), '{{}}'), array_agg(first.priority) INTO _candidates, _priorities
            FROM (
                SELECT first.id, first.priority FROM voter_group CROSS JOIN LATERAL (
                    SELECT task.id, task.priority FROM tasks_task AS task
                    WHERE {VOTED} AND task.voters[1:100] BETWEEN voter_group.voters AND voter_group.voters
                      AND _worker <> ALL (task.voters) AND task.id <> ALL (_tried)
                    ORDER BY task.voters[1:100], task.priority DESC, task.id LIMIT _wanted
                ) AS first
                WHERE _worker <> ALL (voter_group.voters)
                ORDER BY first.priority DESC, first.id
                LIMIT _wanted - cardinality(_locked)
            ) AS first;
        END IF;
        IF _candidates = '{{}}' THEN
            EXIT WHEN _by_groups OR _in_order AND NOT _tried = '{{}}';
            _by_groups := true;
            CONTINUE;
        END IF;

        IF _in_order THEN
            _candidates := ARRAY(
                SELECT first.id FROM (
                    (
                        SELECT task.id, task.priority, false AS voted FROM tasks_task AS task
                        WHERE {FRESH} AND _after_id IS NULL
                        {FIRST} LIMIT _wanted
                    ) UNION ALL (
                        SELECT task.id, task.priority, false FROM tasks_task AS task
                        WHERE {FRESH} AND task.priority = _after_priority AND task.id > _after_id
                        {FIRST} LIMIT _wanted
                    ) UNION ALL (
                        SELECT task.id, task.priority, false FROM tasks_task AS task
                        WHERE {FRESH} AND task.priority < _after_priority
                        {FIRST} LIMIT _wanted
                    ) UNION ALL (
                        SELECT candidate.id, candidate.priority, true
                        FROM unnest(_candidates, _priorities) AS candidate (id, priority)
                    )
                    ORDER BY priority DESC, id LIMIT _wanted - cardinality(_locked)
                ) AS first
                WHERE first.voted
            );
            EXIT WHEN _candidates = '{{}}';
        END IF;
        _tried := _tried || _candidates;
        _locked := _locked || ARRAY(
            SELECT task.id FROM tasks_task AS task
            WHERE task.id = ANY (_candidates) AND CASE WHEN {VOTED} AND _worker <> ALL (task.voters) THEN true END
            FOR UPDATE SKIP LOCKED
        );
    END LOOP;
    RETURN _locked;
END
$$
"""
