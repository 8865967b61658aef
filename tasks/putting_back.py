"""Taking back what a worker has done in a project: the tasks that it closed alone, and its votes on open tasks.

It may have closed millions, so both run in batches, each in its own transaction. They walk along what existed at the
start, by time and by id, so they end however fast others work; nothing keeps the worker from taking the tasks again.
"""

from datetime import datetime
from typing import NamedTuple

from projects.models import Project
from tasks.durations import CLASSES, CLASSES_PER_E, SHORTEST_SECONDS
from tasks.models import AWAITING, Outcome
from tasks.models.attempts import NO_LEASE
from tracker import db

# How many tasks each batch looks at, and how many the preview.
BATCH = 5_000
PREVIEWED = 10_000


class PutBack(NamedTuple):
    """How many tasks were put back, and how many stay closed since another task has their hash by now."""

    tasks: int
    taken: int


class Preview(NamedTuple):
    """What would be put back: tasks that the worker closed alone, and open tasks with its vote.

    `verified` counts the tasks that it closed, too, but others agreed. `is_whole` is False if only the newest closed
    tasks and the oldest open ones were looked at.
    """

    closed: int
    verified: int
    voted: int
    is_whole: bool


def preview(*, project: Project, worker: int) -> Preview:
    """What could be put back, looking at PREVIEWED tasks at most of each kind."""
    values = {"project": project.pk, "worker": worker, "limit": PREVIEWED}
    ((closed, verified, closed_seen),) = db.rows(PREVIEW_CLOSED, values)
    ((voted, open_seen),) = db.rows(PREVIEW_VOTES, values | {"after": 0, "newest": 2**63 - 1})
    return Preview(closed, verified, voted, max(closed_seen, open_seen) < PREVIEWED)


def put_back_closed(*, project: Project, worker: int) -> PutBack:
    """Make the tasks open again that the worker has closed alone and that are still kept.

    Those stay closed that another worker has verified with the same hash. A task keeps its id, recipe, priority, hash,
    submitter, retries and the votes of others. What a closed task doesn't tell becomes the default: one attempt, the
    project's `lease_seconds`, no further verification. It no longer counts as closed; the closing becomes an attempt,
    which keeps what the worker told. Copies in the next project of a chain stay.
    """
    ((until,),) = db.rows(LAST_CLOSED, {"project": project.pk})
    after: datetime | str = "-infinity"
    after_id = tasks = taken = 0
    while until is not None:
        values = {"project": project.pk, "worker": worker, "until": until, "limit": BATCH}
        batch = db.rows_again(PUT_BACK_CLOSED, values | {"after": after, "after_id": after_id})
        ((found, opened, last, last_id),) = batch
        if last is None:
            break
        tasks, taken, after, after_id = tasks + opened, taken + found - opened, last, last_id
    return PutBack(tasks, taken)


def put_back_votes(*, project: Project, worker: int) -> int:
    """Take the worker's votes off open and failed tasks, so that others are asked instead. Returns the number of tasks.

    Where it said that a task is not for it, that stays.
    """
    ((newest,),) = db.rows("SELECT coalesce(max(id), 0) FROM tasks_task")
    total, after = 0, 0
    while True:
        values = {"project": project.pk, "worker": worker, "after": after, "newest": newest, "limit": BATCH}
        ((changed, last),) = db.rows(PUT_BACK_VOTES, values)
        if last is None:
            return total
        total, after = total + changed, last


# Whether nobody else has given the hash that closed the task.
_ALONE = "array_position(task.votes, task.verification) IS NULL"

# The class in which its time was counted, as in queue_release; on the border between two, it may be the one next to it.
_CLASS = f"""least(floor({CLASSES_PER_E} * ln(greatest(
               coalesce(opened.seconds, extract(epoch FROM opened.closed - opened.assign_time)), {SHORTEST_SECONDS}
           ) / {SHORTEST_SECONDS})), {CLASSES - 1})::smallint"""

LAST_CLOSED = "SELECT max(closed) FROM tasks_closedtask WHERE project_id = %(project)s"

# One batch of closed tasks, in the order of closing, by the index closedtask_by_time. Answers how many of them could be
# put back, how many were, and the last task of the batch; null behind the last one.
#
# Locks closed tasks by id, then the hashes of stored tasks by hash, as submits do, and tallies as folding does. Of two
# that put back the same task, the second finds it gone. A task whose hash is taken is not stored, so it is not deleted
# either.
PUT_BACK_CLOSED = f"""
WITH looked AS MATERIALIZED (
    SELECT id, worker_id, closed FROM tasks_closedtask
    WHERE project_id = %(project)s AND closed <= %(until)s
      AND (closed, id) > (%(after)s::timestamptz, %(after_id)s)
    ORDER BY closed, id
    LIMIT %(limit)s
), found AS MATERIALIZED (
    SELECT task.* FROM tasks_closedtask AS task
    WHERE task.id = ANY (ARRAY(SELECT looked.id FROM looked WHERE looked.worker_id = %(worker)s))
      AND task.project_id = %(project)s AND {_ALONE}
    ORDER BY task.id
    FOR UPDATE
), stored AS (
    INSERT INTO tasks_task
        (id, project_id, recipe, priority, retries, hash64, verification_count, voters, votes, created, submitter_id)
    SELECT id, project_id, recipe, priority, retries, hash64, 1, voters, votes, created, submitter_id
    FROM found
    ORDER BY hash64, id
    ON CONFLICT (project_id, hash64) WHERE hash64 IS NOT NULL DO NOTHING
    RETURNING id
), opened AS MATERIALIZED (
    SELECT found.* FROM found JOIN stored ON stored.id = found.id
), deleted AS (
    DELETE FROM tasks_closedtask WHERE id = ANY (ARRAY(SELECT opened.id FROM opened))
), attempt AS (
    INSERT INTO tasks_attempt
        (task_id, project_id, worker_id, lease, began, ended, outcome, message, output, seconds, version)
    SELECT id, project_id, worker_id, {NO_LEASE}, assign_time, closed, {Outcome.CLOSED}, message, output, seconds,
           version
    FROM opened
), uncounted AS (
    INSERT INTO tasks_closedentry (project_id, worker_id, count, duration, at)
    SELECT opened.project_id, opened.worker_id, -count(*), {_CLASS}, max(opened.closed)
    FROM opened GROUP BY 1, 2, 4, date_trunc('minute', opened.closed)
), vote AS MATERIALIZED (
    SELECT opened.project_id, one.worker, opened.closed, one.agreed
    FROM opened CROSS JOIN LATERAL (
        SELECT opened.worker_id, true
        UNION ALL
        SELECT given.voter, false FROM unnest(opened.voters, opened.votes) AS given (voter, vote)
        WHERE given.vote IS NOT NULL
    ) AS one (worker, agreed)
    WHERE NOT array_remove(opened.votes, NULL) = '{{}}'
), unvoted AS (
    INSERT INTO tasks_workertally AS tally (project_id, worker_id, hour, agreed, outvoted, seen)
    SELECT vote.project_id, vote.worker, part.hour,
           -count(*) FILTER (WHERE vote.agreed), -count(*) FILTER (WHERE NOT vote.agreed), max(vote.closed)
    FROM vote CROSS JOIN LATERAL (VALUES (date_trunc('hour', vote.closed)), (NULL)) AS part (hour)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (project_id, worker_id, hour) DO UPDATE
    SET agreed = tally.agreed + excluded.agreed, outvoted = tally.outvoted + excluded.outvoted
)
SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM opened), last.closed, last.id
FROM (SELECT 1) AS always LEFT JOIN (
    SELECT closed, id FROM looked ORDER BY closed DESC, id DESC LIMIT 1
) AS last ON true
"""

# Open and failed tasks on which somebody has voted, behind `after`, by the indexes task_awaiting and task_failed: each
# such task is in one of them, also while it is leased.
_VOTED = f"""
    SELECT id, voters, votes FROM (
        (
            SELECT id, voters, votes FROM tasks_task
            WHERE project_id = %(project)s AND {AWAITING} AND id > %(after)s AND id <= %(newest)s
            ORDER BY id LIMIT %(limit)s
        ) UNION ALL (
            SELECT id, voters, votes FROM tasks_task
            WHERE project_id = %(project)s AND status = 2 AND id > %(after)s AND id <= %(newest)s
            ORDER BY id LIMIT %(limit)s
        )
    ) AS part ORDER BY id LIMIT %(limit)s
"""
_HAS_VOTE = """voters @> ARRAY[%(worker)s::bigint] AND EXISTS (
        SELECT FROM unnest(voters, votes) AS one (voter, vote) WHERE one.voter = %(worker)s AND one.vote IS NOT NULL
    )"""
_REST = """ARRAY(
        SELECT one.{part} FROM unnest(task.voters, task.votes) WITH ORDINALITY AS one (voter, vote, place)
        WHERE one.voter <> %(worker)s OR one.vote IS NULL
        ORDER BY one.place
    )"""

# One batch. Answers how many tasks were changed, and the last one that was looked at; null behind the last one. Locks
# rows in the order of their ids, as releases do, and waits for those that are just being leased or released.
PUT_BACK_VOTES = f"""
WITH looked AS MATERIALIZED ({_VOTED}), changed AS (
    UPDATE tasks_task AS task SET voters = {_REST.format(part="voter")}, votes = {_REST.format(part="vote")}
    WHERE id = ANY (ARRAY(
        SELECT id FROM tasks_task
        WHERE id = ANY (ARRAY(SELECT id FROM looked)) AND project_id = %(project)s AND {_HAS_VOTE}
        ORDER BY id
        FOR UPDATE
    ))
    RETURNING task.id
)
SELECT (SELECT count(*) FROM changed), (SELECT max(id) FROM looked)
"""

PREVIEW_CLOSED = f"""
SELECT count(*) FILTER (WHERE task.worker_id = %(worker)s AND {_ALONE}),
       count(*) FILTER (WHERE task.worker_id = %(worker)s AND NOT {_ALONE}), count(*)
FROM (
    SELECT worker_id, votes, verification FROM tasks_closedtask
    WHERE project_id = %(project)s ORDER BY closed DESC LIMIT %(limit)s
) AS task
"""

PREVIEW_VOTES = f"SELECT count(*) FILTER (WHERE {_HAS_VOTE}), count(*) FROM ({_VOTED}) AS task"
