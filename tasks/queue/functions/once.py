"""queue_once: does a call under a key of its worker, or tells what it answered the first time."""

from tasks.queue.functions.parts import IDENTIFIED, SALT, SETTINGS

#: For how long a key stands for the request that used it first.
KEY_SECONDS = 600

# Runs `_call` and keeps its answer with the key, in one transaction. `_call` is a statement that the server has
# written, parameters included: it returns its answer as text, and whether that is to be kept. Null: there is nothing to
# run, and only `_before` is to be kept, if anything.
#
# A call may be several statements. Their answers are kept in their order, and each is run only if all that was answered
# before it is known to the caller: it knows `_known` of them, and sends in `_before` those that were not worth keeping
# by themselves. If more are kept, another session was quicker, or the call is a repeated one.
#
# `outcome` is unknown_worker; under_way; other_request, if the key was used for another one; known, with all answers
# that are kept; kept or passing, with the answer of `_call`, which was kept or not.
#
# The first lock is that of the key: who repeats a call that is under way waits here for its end if it is `_patient`,
# and then finds the answer, since each statement of a function has a snapshot of its own. A transaction has only one
# key, and no other lock while it waits for it, so keys add no deadlocks.
#
# A lease doesn't wait for the disk when it commits. One with a key does: an answer that has been kept stays. So the
# setting that queue_lease_bounded has changed until the end of the transaction gets back its value.
ONCE = f"""
CREATE OR REPLACE FUNCTION queue_once(
    _worker bigint, _digest bytea, _key text, _request bytea, _known int, _before text[], _call text,
    _patient bool,
    OUT outcome text, OUT answers text[]
)
{SETTINGS}
AS $$
DECLARE
    {SALT}
    _commit text := current_setting('synchronous_commit');
    _first bytea;
    _answer text;
    _keep bool := cardinality(_before) > 0;
BEGIN
    PERFORM FROM workers_worker AS worker WHERE {IDENTIFIED};
    IF NOT FOUND THEN
        outcome := 'unknown_worker';
        RETURN;
    END IF;
    IF _patient THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(_key, _worker));
    ELSIF NOT pg_try_advisory_xact_lock(hashtextextended(_key, _worker)) THEN
        outcome := 'under_way';
        RETURN;
    END IF;
    SELECT kept.request, kept.answers INTO _first, answers FROM tasks_repeatable AS kept
    WHERE kept.worker_id = _worker AND kept.key = _key
      AND (_known > 0 OR kept.at > now() - make_interval(secs => {KEY_SECONDS}));
    IF _first <> _request THEN
        outcome := 'other_request';
        answers := NULL;
        RETURN;
    END IF;
    IF coalesce(cardinality(answers), 0) <> _known THEN
        outcome := 'known';
        RETURN;
    END IF;

    IF _call IS NOT NULL THEN
        EXECUTE _call INTO _answer, _keep;
        answers := ARRAY[_answer];
        _before := _before || _answer;
    END IF;
    IF NOT _keep THEN
        outcome := 'passing';
        RETURN;
    END IF;
    outcome := 'kept';
    PERFORM set_config('synchronous_commit', _commit, true);
    INSERT INTO tasks_repeatable AS kept (worker_id, key, request, answers) VALUES (_worker, _key, _request, _before)
    ON CONFLICT (worker_id, key) DO UPDATE
    SET request = excluded.request, at = excluded.at,
        answers = CASE WHEN _known > 0 THEN kept.answers || excluded.answers ELSE excluded.answers END;
END
$$
"""
