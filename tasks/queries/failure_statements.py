"""The statements of tasks.queries.failures."""

# The attempts of these projects that wait to be folded, by group. Reads the newest entries, since the scheduler folds
# the oldest first and leaves dead index entries there; then looks the attempts up by their ids.
_WAITING = """
    SELECT project_id, fingerprint, count(*) AS count, min(ended) AS first_seen, max(ended) AS last_seen,
           max(id) AS example, array_agg(DISTINCT worker_id) FILTER (WHERE worker_id IS NOT NULL) AS workers,
           array_agg(DISTINCT version) AS versions
    FROM tasks_attempt
    WHERE id = ANY (ARRAY(
        SELECT attempt FROM (
            SELECT project_id, attempt FROM tasks_outcomeentry ORDER BY id DESC LIMIT %(waiting)s
        ) AS entry
        WHERE attempt IS NOT NULL AND project_id = ANY (%(projects)s)
    ))
    GROUP BY project_id, fingerprint
"""

# A group as it is folded, with what waits. At least one of the two is there.
_MERGED = """
    coalesce(known.count, 0) + coalesce(waiting.count, 0) AS count,
    least(known.first_seen, waiting.first_seen) AS first_seen,
    greatest(known.last_seen, waiting.last_seen) AS last_seen,
    coalesce(waiting.example, known.example) AS example,
    coalesce(known.workers, '{}') AS workers, coalesce(waiting.workers, '{}') AS more_workers,
    coalesce(known.versions, '{}') AS versions, coalesce(waiting.versions, '{}') AS more_versions,
    known.outcome, known.reason, known.message
"""

# Goes on after a CTE `page` of merged groups: with their newest attempts. Uses the primary key of tasks_attempt.
_SHOWN = """
SELECT project_id, fingerprint, count, first_seen, last_seen, workers, more_workers, versions, more_versions,
       known_outcome, known_reason, known_message, fits,
       id, task_id, worker_id, began, ended, outcome, reason, message,
       CASE WHEN %(outputs)s AND fits THEN output END, seconds, version
FROM (
    SELECT page.project_id, page.fingerprint, page.count, page.first_seen, page.last_seen,
           page.workers, page.more_workers, page.versions, page.more_versions,
           page.outcome AS known_outcome, page.reason AS known_reason, page.message AS known_message,
           attempt.id, attempt.task_id, attempt.worker_id, attempt.began, attempt.ended, attempt.outcome,
           attempt.reason, attempt.message, attempt.output, attempt.seconds, attempt.version,
           NOT %(outputs)s OR row_number() OVER in_order = 1
           OR sum(coalesce(octet_length(attempt.message), 0) + coalesce(octet_length(attempt.output), 0))
              OVER in_order <= %(most)s AS fits
    FROM page
    LEFT JOIN tasks_attempt AS attempt ON attempt.id = page.example
    WINDOW in_order AS (ORDER BY page.last_seen DESC, page.project_id DESC, page.fingerprint DESC)
) AS shown
ORDER BY last_seen DESC, project_id DESC, fingerprint DESC
"""

# Merges the newest groups of each project, which the index failuregroup_newest has in order, with all that have
# something waiting: these move to the front. So many more are read of each project that the others fill a page.
FIND = f"""
WITH waiting AS MATERIALIZED ({_WAITING}
), quiet AS (
    SELECT known.*
    FROM unnest(%(projects)s::bigint[]) AS part (project)
    CROSS JOIN LATERAL (
        SELECT * FROM tasks_failuregroup
        WHERE project_id = part.project
          AND (last_seen, project_id, fingerprint) < (%(seen)s::timestamptz, %(project)s, %(fingerprint)s)
        ORDER BY last_seen DESC, fingerprint DESC
        LIMIT %(limit)s + (SELECT count(*) FROM waiting WHERE waiting.project_id = part.project)
    ) AS known
), merged AS (
    SELECT waiting.project_id, waiting.fingerprint, {_MERGED}
    FROM waiting LEFT JOIN tasks_failuregroup AS known
        ON known.project_id = waiting.project_id AND known.fingerprint = waiting.fingerprint
    UNION ALL
    SELECT known.project_id, known.fingerprint, {_MERGED}
    FROM quiet AS known LEFT JOIN waiting
        ON waiting.project_id = known.project_id AND waiting.fingerprint = known.fingerprint
    WHERE waiting.project_id IS NULL
), page AS MATERIALIZED (
    SELECT * FROM merged
    WHERE (last_seen, project_id, fingerprint) < (%(seen)s::timestamptz, %(project)s, %(fingerprint)s)
    ORDER BY last_seen DESC, project_id DESC, fingerprint DESC
    LIMIT %(limit)s
)
{_SHOWN}"""

# Uses the unique index failuregroup_one_per_kind.
GET = f"""
WITH waiting AS MATERIALIZED (
    SELECT * FROM ({_WAITING}) AS waiting WHERE fingerprint = %(fingerprint)s
), page AS MATERIALIZED (
    SELECT coalesce(known.project_id, waiting.project_id) AS project_id, %(fingerprint)s::bigint AS fingerprint,
           {_MERGED}
    FROM waiting FULL JOIN (
        SELECT * FROM tasks_failuregroup
        WHERE project_id = ANY (%(projects)s) AND fingerprint = %(fingerprint)s
    ) AS known ON known.project_id = waiting.project_id
)
{_SHOWN}"""

# Uses the index task_failed_alike.
COUNT_FAILED = """
SELECT part.project, part.fingerprint, failed.count
FROM unnest(%(projects)s::bigint[], %(fingerprints)s::bigint[]) AS part (project, fingerprint)
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM tasks_task
        WHERE project_id = part.project AND status = 2 AND failure >= part.fingerprint AND failure <= part.fingerprint
        ORDER BY failure, id
        LIMIT %(counted)s
    ) AS few
) AS failed
"""

# Uses the index attempt_alike. By the primary key, the planner would hope to find some of the group soon, while they
# may all be old.
ATTEMPTS = """
SELECT id, task_id, worker_id, began, ended, outcome, reason, message, CASE WHEN fits THEN output END, seconds, version,
       fits
FROM (
    SELECT *, row_number() OVER in_order = 1
           OR sum(coalesce(octet_length(message), 0) + coalesce(octet_length(output), 0))
              OVER in_order <= %(most)s AS fits
    FROM (
        SELECT * FROM tasks_attempt
        WHERE project_id = %(project)s
          AND fingerprint >= %(fingerprint)s AND (fingerprint, id) < (%(fingerprint)s, %(below)s)
        ORDER BY fingerprint DESC, id DESC
        LIMIT %(limit)s
    ) AS newest
    WINDOW in_order AS (ORDER BY fingerprint DESC, id DESC)
) AS attempt
ORDER BY fingerprint DESC, id DESC
"""
