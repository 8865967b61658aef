"""The rate limits of projects, for the functions that store and lease: projects.models.RateBucket.

A call is let through when a token is there, and takes as many as it moves tasks: what it lacks is a debt that later
calls wait for.
"""

from tasks.queue.functions.parts import SETTINGS

# How many seconds until there is a token; 0 or less: it is there, and the bucket is locked until the transaction ends.
WAIT = f"""
CREATE OR REPLACE FUNCTION queue_wait(_project bigint, _kind text) RETURNS float8
{SETTINGS}
AS $$
DECLARE
    _next_at timestamptz;
BEGIN
    SELECT bucket.next_at INTO _next_at FROM projects_ratebucket AS bucket
    WHERE bucket.project_id = _project AND bucket.kind = _kind FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO projects_ratebucket AS bucket (project_id, kind, next_at) VALUES (_project, _kind, now())
        ON CONFLICT (project_id, kind) DO UPDATE SET next_at = bucket.next_at
        RETURNING bucket.next_at INTO _next_at;
    END IF;
    -- Not now(), since waiting for the bucket took time.
    RETURN extract(epoch FROM _next_at - clock_timestamp());
END
$$
"""

CHARGE = f"""
CREATE OR REPLACE FUNCTION queue_charge(_project bigint, _kind text, _rate float8, _tokens bigint) RETURNS void
{SETTINGS}
AS $$
BEGIN
    UPDATE projects_ratebucket SET next_at = clock_timestamp() + make_interval(secs => _tokens / _rate)
    WHERE project_id = _project AND kind = _kind;
END
$$
"""
