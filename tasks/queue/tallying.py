"""Folding what releases have appended about attempts, and forgetting it in time. Periodic jobs, as in upkeep.py."""

from django.conf import settings

from tasks.models import Outcome
from tracker import db

BATCH = 5_000

# For how long the tallies of single hours are kept: pages show the last 24 hours and the present day.
HOURS = 49

# How many workers and versions a group of failures names.
NAMED = 100


def fold_outcomes() -> int:
    """Fold OutcomeEntry rows: add them to the tallies and groups of failures, and delete them."""
    row = db.one(FOLD_OUTCOMES, {"limit": BATCH})
    return int(row[0]) if row else 0


def forget_attempts() -> int:
    """Delete attempts that are past their project's retention, but none of the last day."""
    return db.affected(FORGET_ATTEMPTS, {"limit": BATCH})


def forget_failures() -> int:
    """Delete groups of failures of which no attempt is left and no task is failed any more."""
    return db.affected(FORGET_FAILURES, {"limit": BATCH})


def drop_tallies() -> int:
    """Delete the tallies of past hours and minutes that no page shows any more."""
    values = {"hours": HOURS, "minutes_hours": settings.SNAPSHOT_KEEP_HOURS, "limit": BATCH}
    return db.affected(DROP_HOURS, values) + db.affected(DROP_MINUTES, values)


# An attempt is counted in the hour in which it ended. `attempt` is null but for those that belong to a group.
FOLD_OUTCOMES = f"""
WITH folded AS MATERIALIZED (
    DELETE FROM tasks_outcomeentry
    WHERE id = ANY (ARRAY(SELECT id FROM tasks_outcomeentry ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING project_id, worker_id, outcome, attempt, at
), tallied AS (
    INSERT INTO tasks_workertally AS tally
        (project_id, worker_id, hour, failed, skipped, expired, agreed, outvoted, seen)
    SELECT project_id, worker_id, hour,
           count(*) FILTER (WHERE outcome = {Outcome.FAILED}),
           count(*) FILTER (WHERE outcome = {Outcome.SKIPPED}),
           count(*) FILTER (WHERE outcome = {Outcome.EXPIRED}),
           count(*) FILTER (WHERE outcome = {Outcome.AGREED}),
           count(*) FILTER (WHERE outcome = {Outcome.OUTVOTED}),
           max(at)
    FROM folded CROSS JOIN LATERAL (VALUES (date_trunc('hour', at)), (NULL)) AS part (hour)
    WHERE worker_id IS NOT NULL
    GROUP BY project_id, worker_id, hour ORDER BY 1, 2, 3
    ON CONFLICT (project_id, worker_id, hour) DO UPDATE
    SET failed = tally.failed + excluded.failed, skipped = tally.skipped + excluded.skipped,
        expired = tally.expired + excluded.expired, agreed = tally.agreed + excluded.agreed,
        outvoted = tally.outvoted + excluded.outvoted, seen = greatest(tally.seen, excluded.seen)
), counted AS (
    INSERT INTO tasks_projecttally AS tally (project_id, minute, failed, skipped, expired)
    SELECT project_id, date_trunc('minute', at),
           count(*) FILTER (WHERE outcome = {Outcome.FAILED}),
           count(*) FILTER (WHERE outcome = {Outcome.SKIPPED}),
           count(*) FILTER (WHERE outcome = {Outcome.EXPIRED})
    FROM folded GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (project_id, minute) DO UPDATE
    SET failed = tally.failed + excluded.failed, skipped = tally.skipped + excluded.skipped,
        expired = tally.expired + excluded.expired
), failed AS MATERIALIZED (
    SELECT attempt.* FROM tasks_attempt AS attempt
    WHERE attempt.id = ANY (ARRAY(SELECT folded.attempt FROM folded WHERE folded.attempt IS NOT NULL))
), grouped AS (
    INSERT INTO tasks_failuregroup AS known
        (project_id, fingerprint, outcome, reason, message, count, first_seen, last_seen, example, workers, versions)
    SELECT alike.project_id, alike.fingerprint, example.outcome, example.reason, example.message, alike.count,
           alike.first_seen, alike.last_seen, alike.example, coalesce(alike.workers[:{NAMED}], '{{}}'),
           alike.versions[:{NAMED}]
    FROM (
        SELECT project_id, fingerprint, count(*) AS count, min(ended) AS first_seen, max(ended) AS last_seen,
               max(id) AS example, array_agg(DISTINCT worker_id) FILTER (WHERE worker_id IS NOT NULL) AS workers,
               array_agg(DISTINCT version) AS versions
        FROM failed GROUP BY project_id, fingerprint
    ) AS alike JOIN failed AS example ON example.id = alike.example
    ORDER BY 1, 2
    ON CONFLICT (project_id, fingerprint) DO UPDATE
    SET count = known.count + excluded.count, first_seen = least(known.first_seen, excluded.first_seen),
        last_seen = greatest(known.last_seen, excluded.last_seen),
        example = excluded.example, outcome = excluded.outcome, reason = excluded.reason, message = excluded.message,
        workers = (known.workers || ARRAY(
            SELECT one FROM unnest(excluded.workers) AS one WHERE one <> ALL (known.workers)
        ))[:{NAMED}],
        versions = (known.versions || ARRAY(
            SELECT one FROM unnest(excluded.versions) AS one WHERE one <> ALL (known.versions)
        ))[:{NAMED}]
)
SELECT count(*) FROM folded
"""

# Deletes up to `limit` attempts per project. Uses the index attempt_by_time.
FORGET_ATTEMPTS = """
DELETE FROM tasks_attempt
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_attempt
        WHERE project_id = projects_project.id
          AND ended < now() - make_interval(days => greatest(projects_project.retention_days, 1))
        ORDER BY ended
        LIMIT %(limit)s
    ) AS old
))
"""

# Uses the index failuregroup_newest; attempt_alike and task_failed_alike tell whether a group is still of use.
FORGET_FAILURES = """
DELETE FROM tasks_failuregroup
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_failuregroup AS known
        WHERE project_id = projects_project.id
          AND last_seen < now() - make_interval(days => greatest(projects_project.retention_days, 1))
          AND NOT EXISTS (
              SELECT FROM tasks_attempt WHERE project_id = known.project_id AND fingerprint = known.fingerprint
          ) AND NOT EXISTS (
              SELECT FROM tasks_task
              WHERE project_id = known.project_id AND failure = known.fingerprint AND status = 2
          )
        LIMIT %(limit)s
    ) AS old
))
"""

# Uses the index workertally_by_hour.
DROP_HOURS = """
DELETE FROM tasks_workertally
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks_workertally
    WHERE hour < now() - make_interval(hours => %(hours)s)
    ORDER BY hour
    LIMIT %(limit)s
))
"""

# Uses the unique index, project by project.
DROP_MINUTES = """
DELETE FROM tasks_projecttally
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM projects_project CROSS JOIN LATERAL (
        SELECT id FROM tasks_projecttally
        WHERE project_id = projects_project.id AND minute < now() - make_interval(hours => %(minutes_hours)s)
        ORDER BY minute
        LIMIT %(limit)s
    ) AS old
))
"""
