"""The token buckets of projects' rate limits (projects.models.RateBucket), for the functions that store and lease.

A call is allowed when one token is available, and takes one token per task. If there are not enough, the bucket goes
into debt, and later calls wait until it is paid off.
"""

from tasks.queue.functions.parts import SETTINGS

# Returns the seconds until a token is available. 0 or less means that one is; the bucket's row then stays locked until
# the transaction ends.
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
