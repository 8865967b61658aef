"""queue_lease_bounded, and its helpers: for tasks that other workers have verified, and for batches of many bytes."""

from tasks.models import Outcome
from tasks.queue.functions.parts import FIRST, FRESH, IDENTIFIED, IN_ORDER, LIVE, SALT, SETTINGS, UNRELATED, VOTED

# The columns that a lease returns: a row per task, in any order, followed by one with the outcome and the project.
# `place` is the task's rank, and in the last row the id of the last leased task that nobody had verified. `assign_time`
# is in Unix seconds.
COLUMNS = """
    outcome text, delay float8, visited bigint, place bigint, allowed bigint, counted bigint,
    project_id bigint, project_priority int, name varchar, clone_url varchar, git_repo varchar, version varchar,
    motd text, public bool, hidden bool, chain_id bigint, paused bool, assign_rate float8, submit_rate float8,
    id bigint, priority smallint, assignee_id bigint, retries int, max_retries int, status smallint, recipe text,
    max_assign_time int, verification_count smallint, assign_time bigint, lease text
"""

# How many bytes a task has apart from its recipe and its project's texts.
OVERHEAD = 700

# A worker's calls wait for each other when so many of the size could exceed its limit.
TOGETHER = 10

# How many leases a worker may hold at once in a project that doesn't set it itself.
MOST_LEASES_IN_PUBLIC, MOST_LEASES = 1_000, 10_000
_MOST_LEASES = f"""
           CASE WHEN project.max_leases > 0 THEN project.max_leases
                WHEN project.public THEN {MOST_LEASES_IN_PUBLIC} ELSE {MOST_LEASES} END
""".strip()

_EXPIRED = f"""task.project_id = _project AND task.assignee_id IS NOT NULL AND task.lease_expires <= now()
              AND CASE WHEN task.voters = '{{}}' THEN true
                       ELSE {UNRELATED.format(voters="task.voters", kin="queue_kin(_project, _worker)")} END
              AND {LIVE}
              AND (_most_expiries = 0 OR task.expiries + 1 < _most_expiries)"""

# Whether a worker other than this one holds a lease of the project. Uses the index task_held.
_OTHERS = """coalesce(
            (
                SELECT true FROM tasks_task AS task
                WHERE task.project_id = _project AND task.assignee_id IS NOT NULL AND task.assignee_id > _worker
                ORDER BY task.assignee_id LIMIT 1
            ), (
                SELECT true FROM tasks_task AS task
                WHERE task.project_id = _project AND task.assignee_id IS NOT NULL AND task.assignee_id < _worker
                ORDER BY task.assignee_id LIMIT 1
            ), false)"""


# Whether tasks of the project wait for their time. Uses the index task_delayed.
_DELAYED = """coalesce((
            SELECT true FROM tasks_task AS task WHERE task.project_id = _project AND task.status = 3
            ORDER BY task.run_at LIMIT 1
        ), false)"""


def _lock(condition: str, order: str) -> str:
    """Statements that lock the first tasks with this condition, as many as are still wanted: `_more`."""
    return f"""SELECT coalesce(array_agg(first.id), '{{}}'), _places || array_agg(first.place),
                   coalesce(sum(first.size), 0)
            INTO _more, _places, _size FROM (
                SELECT task.id, task.ctid AS place, octet_length(task.recipe) AS size FROM tasks_task AS task
                WHERE {condition}
                {order} LIMIT _wanted - cardinality(_ids) FOR UPDATE SKIP LOCKED
            ) AS first;
            _ids := _ids || _more;
            _bytes := _bytes + _size;"""


# Leases up to `_wanted` tasks of a project, highest rank first, then oldest. If there are not enough, tasks whose
# lease has expired follow; those that would become FAILED by one more expiry are left to the scheduler.
#
# With `_after_…`, only unverified tasks behind this position are considered, even if there are none. Each lease leaves
# a dead index entry at the head of task_fresh. While VACUUM is late, or can't remove the entries because of another
# session's old snapshot, each lease would have to skip all of them. `visited` is the number of pages of the index that
# were read; frontier.py uses it to choose the position.
#
# The rows are found again by their places (ctid), since nobody can change them once they are locked.
#
# A worker may hold so many leases of a project at once: `max_leases`, or what its kind of project allows. They are
# counted in the index task_held, not beyond the limit. `allowed` is how many more it could have had, and `counted` the
# number of pages of the index that were read; holding.py uses them to pass `_allowed`, and then nothing is counted.
# Near the limit, a worker's calls wait for each other, or together they would exceed it.
#
# The tasks of a batch, each with the project, have at most `_most_bytes`; but there is always one. The outcome is
# `filled` if there would have been more.
#
# `chain_id` is null as well if the next project of the chain is hidden from the worker.
#
# Unless `_durable`, the commit does not wait for the disk, which is most of what a lease would wait for. If a crash of
# the database loses a lease, the task is leased twice, which at-least-once delivery allows. The setting lasts until
# the end of the transaction, so nothing that must not be lost may share a transaction with it.
LEASE = f"""
CREATE OR REPLACE FUNCTION queue_lease_bounded(
    _worker bigint, _digest bytea, _project bigint, _wanted int,
    _after_rank bigint = NULL, _after_id bigint = NULL, _durable bool = false,
    _most_bytes bigint = {16 * 1024 * 1024}, _allowed bigint = NULL
) RETURNS TABLE ({COLUMNS})
{IN_ORDER}
AS $$
DECLARE
    {SALT}
    _pages bigint := pg_stat_get_xact_blocks_fetched('task_fresh'::regclass);
    _worker_paused bool;
    _granted bool;
    _seconds int;
    _most_leases bigint;
    _most_expiries int;
    _alone bool := false;
    _any_voted bool;
    _ids bigint[] := '{{}}';
    _places tid[] := '{{}}';
    _fresh bigint[] := '{{}}';
    _expired bigint[] := '{{}}';
    _more bigint[];
    _bytes bigint := 0;
    _size bigint;
    _each bigint;
    _filled bool := false;
BEGIN
    IF NOT _durable THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    SELECT worker.paused, coalesce(access.assign OR access.submit, false), project.lease_seconds, {_MOST_LEASES},
           project.max_expiries,
           project.id, project.priority, project.name, project.clone_url, project.git_repo, project.version,
           project.motd, project.public, project.hidden,
           CASE WHEN project.chain_id IS NOT NULL THEN (
               SELECT following.id FROM projects_project AS following
               WHERE following.id = project.chain_id AND (NOT following.hidden OR EXISTS (
                   SELECT FROM workers_workeraccess AS there
                   WHERE there.project_id = following.id AND there.worker_id = _worker
                     AND (there.assign OR there.submit)
               ))
           ) END,
           project.paused, project.assign_rate,
           project.submit_rate,
           coalesce((SELECT true FROM tasks_task AS task WHERE {VOTED} {FIRST} LIMIT 1), false)
    INTO _worker_paused, _granted, _seconds, _most_leases, _most_expiries,
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
    IF outcome IS NULL AND _allowed IS NULL THEN
        counted := pg_stat_get_xact_blocks_fetched('task_held'::regclass);
        LOOP
            SELECT _most_leases - count(*) INTO allowed FROM (
                SELECT FROM tasks_task AS task
                WHERE task.project_id = _project AND task.assignee_id = _worker AND task.lease_expires > now()
                LIMIT _most_leases
            ) AS held;
            EXIT WHEN _alone OR allowed <= 0 OR allowed >= {TOGETHER} * _wanted;
            PERFORM pg_advisory_xact_lock(hashint8(_project), hashint8(_worker));
            _alone := true;
        END LOOP;
        counted := pg_stat_get_xact_blocks_fetched('task_held'::regclass) - counted;
        IF allowed <= 0 THEN
            outcome := 'too_many_leases';
        END IF;
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    _wanted := least(_wanted, coalesce(_allowed, allowed));

    IF _any_voted THEN
        SELECT locked.ids, locked.places, locked.bytes INTO _ids, _places, _bytes
        FROM queue_lock_verified(_worker, _project, _wanted, _after_rank, _after_id, true, '{{}}') AS locked;
    END IF;
    IF _after_id IS NULL THEN
        IF cardinality(_ids) < _wanted THEN
            {_lock(f"{FRESH} AND {LIVE}", FIRST)}
            _fresh := _more;
        END IF;
        IF cardinality(_ids) < _wanted AND _any_voted THEN
            SELECT _ids || locked.ids, _places || locked.places, _bytes + locked.bytes INTO _ids, _places, _bytes
            FROM queue_lock_verified(
                _worker, _project, _wanted - cardinality(_ids), NULL, NULL, false, _ids
            ) AS locked;
        END IF;
    ELSE
        IF cardinality(_ids) < _wanted THEN
            {_lock(f"{FRESH} AND {LIVE} AND task.rank = _after_rank AND task.id > _after_id", FIRST)}
            _fresh := _more;
        END IF;
        IF cardinality(_ids) < _wanted THEN
            {_lock(f"{FRESH} AND {LIVE} AND task.rank < _after_rank", FIRST)}
            _fresh := _fresh || _more;
        END IF;
    END IF;
    IF cardinality(_ids) < _wanted THEN
        {_lock(_EXPIRED, "ORDER BY task.lease_expires")}
        _expired := _more;
    END IF;

    IF cardinality(_ids) > 1 THEN
        _each := {OVERHEAD} + octet_length(name) + octet_length(clone_url) + octet_length(git_repo)
            + octet_length(version) + octet_length(motd);
        IF _bytes + cardinality(_ids) * _each > _most_bytes THEN
            _more := queue_fitting(_ids, _each, _most_bytes);
            _filled := cardinality(_more) < cardinality(_ids);
            _ids := _more;
            _fresh := ARRAY(
                SELECT one.id FROM unnest(_fresh) WITH ORDINALITY AS one (id, place)
                WHERE one.id = ANY (_ids) ORDER BY one.place
            );
        END IF;
    END IF;

    IF cardinality(_expired) > 0 THEN
        PERFORM queue_end(
            ARRAY(SELECT unnest(_expired) INTERSECT SELECT unnest(_ids)), {Outcome.EXPIRED}
        );
    END IF;
    IF _filled OR cardinality(_expired) > 0 THEN
        _places := ARRAY(SELECT task.ctid FROM tasks_task AS task WHERE task.id = ANY (_ids));
    END IF;
    RETURN QUERY
    UPDATE tasks_task AS task
    SET assignee_id = _worker,
        lease = gen_random_uuid(),
        assign_time = now(),
        lease_expires = now() + make_interval(
            secs => CASE WHEN task.max_assign_time > 0 THEN task.max_assign_time ELSE _seconds END
        )
    WHERE task.ctid = ANY (_places)
    RETURNING NULL::text, NULL::float8, NULL::bigint, task.rank, NULL::bigint, NULL::bigint,
              NULL::bigint, NULL::int, NULL::varchar, NULL::varchar, NULL::varchar, NULL::varchar,
              NULL::text, NULL::bool, NULL::bool, NULL::bigint, NULL::bool, NULL::float8, NULL::float8,
              task.id, task.priority, task.assignee_id, task.retries, task.max_retries, task.status, task.recipe,
              task.max_assign_time, task.verification_count, floor(extract(epoch FROM task.assign_time))::bigint,
              task.lease::text;
    IF cardinality(_ids) > 0 AND assign_rate > 0 THEN
        PERFORM queue_charge(_project, 'assign', assign_rate, cardinality(_ids));
    END IF;
    -- Each by itself: a subquery is set up with the expression that it is in, also if it isn't run.
    IF _filled THEN
        outcome := 'filled';
    ELSIF cardinality(_ids) > 0 THEN
        outcome := 'leased';
    ELSIF _any_voted THEN
        outcome := 'verified_all';
    ELSE
        outcome := CASE WHEN {_OTHERS} THEN 'leased' WHEN {_DELAYED} THEN 'delayed' ELSE 'empty' END;
    END IF;
    place := _fresh[cardinality(_fresh)];
    visited := pg_stat_get_xact_blocks_fetched('task_fresh'::regclass) - _pages;
    RETURN NEXT;
END
$$
"""

# Locks up to `_wanted` tasks that others have verified and this worker has not, and returns their ids, their places and
# the bytes of their recipes; with `_in_order`, only those that come before the unverified ones.
#
# It first examines a bounded number of entries of task_voted. If the worker has verified all of these, it may have
# verified 100,000. Then it skips through task_voters from one group of voters to the next and examines only groups
# without this worker; BETWEEN and the ORDER BY, whose first column is the same within a group, leave the planner no
# other index. Since other sessions may be locking the same tasks, it looks again for the tasks that it did not get.
#
# The candidates are locked by id. The condition that they may still be leased is inside a CASE, which the planner
# doesn't analyse. Otherwise it could see that the condition implies the predicate of task_voted and scan that index,
# skipping everything that comes before the candidates.
#
# JIT compilation is off. Up to PostgreSQL 17, a plan that must sort although sorting is disabled has such a high cost
# that every call would compile it, which takes longer than everything else.
LOCK_VERIFIED = f"""
CREATE OR REPLACE FUNCTION queue_lock_verified(
    _worker bigint, _project bigint, _wanted int, _after_rank bigint, _after_id bigint, _in_order bool,
    _taken bigint[],
    OUT ids bigint[], OUT places tid[], OUT bytes bigint
)
{IN_ORDER}
SET jit = off
AS $$
DECLARE
    _kin bigint[] := queue_kin(_project, _worker);
    _by_groups bool := false;
    -- What the caller has locked would be found again.
    _tried bigint[] := _taken;
    _more bigint[];
    _size bigint;
    _candidates bigint[];
    _ranks bigint[];
BEGIN
    ids := '{{}}';
    places := '{{}}';
    bytes := 0;
    WHILE cardinality(ids) < _wanted AND cardinality(_tried) < cardinality(_taken) + 16 + 2 * _wanted LOOP
        IF NOT _by_groups THEN
            SELECT coalesce(array_agg(first.id), '{{}}'), array_agg(first.rank) INTO _candidates, _ranks
            FROM (
                SELECT nearest.id, nearest.rank FROM (
                    SELECT task.id, task.rank, task.voters, task.expires_at FROM tasks_task AS task WHERE {VOTED}
                    {FIRST} LIMIT 100 + 2 * _wanted + cardinality(_taken)
                ) AS nearest
                WHERE {UNRELATED.format(voters="nearest.voters", kin="_kin")}
                  AND (nearest.expires_at IS NULL OR nearest.expires_at > now()) AND nearest.id <> ALL (_tried)
                ORDER BY nearest.rank DESC, nearest.id
                LIMIT _wanted - cardinality(ids)
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
            SELECT coalesce(array_agg(first.id), '{{}}'), array_agg(first.rank) INTO _candidates, _ranks
            FROM (
                SELECT first.id, first.rank FROM voter_group CROSS JOIN LATERAL (
                    SELECT task.id, task.rank FROM tasks_task AS task
                    WHERE {VOTED} AND task.voters[1:100] BETWEEN voter_group.voters AND voter_group.voters
                      AND {UNRELATED.format(voters="task.voters", kin="_kin")} AND {LIVE} AND task.id <> ALL (_tried)
                    ORDER BY task.voters[1:100], task.rank DESC, task.id LIMIT _wanted
                ) AS first
                WHERE {UNRELATED.format(voters="voter_group.voters", kin="_kin")}
                ORDER BY first.rank DESC, first.id
                LIMIT _wanted - cardinality(ids)
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
                        SELECT task.id, task.rank, false AS voted FROM tasks_task AS task
                        WHERE {FRESH} AND _after_id IS NULL
                        {FIRST} LIMIT _wanted
                    ) UNION ALL (
                        SELECT task.id, task.rank, false FROM tasks_task AS task
                        WHERE {FRESH} AND task.rank = _after_rank AND task.id > _after_id
                        {FIRST} LIMIT _wanted
                    ) UNION ALL (
                        SELECT task.id, task.rank, false FROM tasks_task AS task
                        WHERE {FRESH} AND task.rank < _after_rank
                        {FIRST} LIMIT _wanted
                    ) UNION ALL (
                        SELECT candidate.id, candidate.rank, true
                        FROM unnest(_candidates, _ranks) AS candidate (id, rank)
                    )
                    ORDER BY rank DESC, id LIMIT _wanted - cardinality(ids)
                ) AS first
                WHERE first.voted
            );
            EXIT WHEN _candidates = '{{}}';
        END IF;
        _tried := _tried || _candidates;
        SELECT coalesce(array_agg(locked.id), '{{}}'), places || array_agg(locked.place), coalesce(sum(locked.size), 0)
        INTO _more, places, _size FROM (
            SELECT task.id, task.ctid AS place, octet_length(task.recipe) AS size FROM tasks_task AS task
            WHERE task.id = ANY (_candidates) AND CASE
                WHEN {VOTED} AND {UNRELATED.format(voters="task.voters", kin="_kin")} AND {LIVE} THEN true END
            FOR UPDATE SKIP LOCKED
        ) AS locked;
        ids := ids || _more;
        bytes := bytes + _size;
    END LOOP;
END
$$
"""

# The first of these tasks in the order of leasing, as many as have `_most_bytes` together, with `_each` bytes more for
# each; at least one.
FITTING = f"""
CREATE OR REPLACE FUNCTION queue_fitting(_ids bigint[], _each bigint, _most_bytes bigint) RETURNS bigint[]
{SETTINGS}
SET enable_sort = on
SET jit = off
AS $$
BEGIN
    RETURN ARRAY(
        SELECT first.id FROM (
            SELECT task.id, row_number() OVER in_order AS place,
                   sum(octet_length(task.recipe) + _each) OVER in_order AS bytes
            FROM tasks_task AS task
            WHERE task.id = ANY (_ids)
            WINDOW in_order AS (
                ORDER BY task.assignee_id IS NOT NULL, task.rank DESC, task.id ROWS UNBOUNDED PRECEDING
            )
        ) AS first
        WHERE first.place = 1 OR first.bytes <= _most_bytes
    );
END
$$
"""
