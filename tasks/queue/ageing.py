"""Ageing: ranking tasks by their priority and by how long they have waited.

With a project's `ageing_seconds`, a task that has waited so long comes before those of the next higher priority that
are new. Raising priorities as time passes would write every waiting task again and again. But of two tasks, the one
that has waited longer stays ahead by as much, so each gets a head start once: queue_head_start. Leases go by `rank`,
which is the priority with the head start, in the same index as without ageing.

When a project's setting changes, a job of the scheduler ranks the tasks that are there; new ones are ranked as they are
stored.
"""

from collections.abc import Iterable

from projects.models import Project
from tasks.models import Ageing
from tracker import db

#: How many tasks, of whichever project, one call looks at.
BATCH = 5_000

# How long after the setting was seen to have changed the tasks are ranked: calls that began before may still store
# tasks by the old one.
PAUSE_SECONDS = 5


def rank_by_age() -> int:
    """Rank a batch of the tasks of a project whose setting has changed. Returns how many were looked at."""
    db.affected(NOTICE)
    ((looked,),) = db.rows(RANK, {"limit": BATCH, "pause": PAUSE_SECONDS})
    return int(looked)


def aged(projects: Iterable[int]) -> set[int]:
    """Those of these projects in which the rank of a task may differ from its priority."""
    asked = list(projects)
    now = Project.objects.filter(pk__in=asked, ageing_seconds__gt=0).values_list("pk", flat=True)
    return {*now, *Ageing.objects.filter(project__in=asked).values_list("pk", flat=True)}


NOTICE = """
INSERT INTO tasks_ageing AS known (project_id, seconds, after, noticed)
SELECT project.id, project.ageing_seconds, 0, now()
FROM projects_project AS project LEFT JOIN tasks_ageing AS ranked ON ranked.project_id = project.id
WHERE project.ageing_seconds <> coalesce(ranked.seconds, 0)
ON CONFLICT (project_id) DO UPDATE SET seconds = excluded.seconds, after = 0, noticed = now()
"""

# Walks along the primary key, since no other index has tasks of all states. Locks rows in the order of their ids, as
# releases do.
RANK = """
WITH changed AS MATERIALIZED (
    SELECT project_id, seconds, after FROM tasks_ageing
    WHERE after IS NOT NULL AND noticed <= now() - make_interval(secs => %(pause)s)
    ORDER BY project_id LIMIT 1
    FOR UPDATE SKIP LOCKED
), looked AS MATERIALIZED (
    SELECT task.id, task.project_id
    FROM changed CROSS JOIN LATERAL (
        SELECT id, project_id FROM tasks_task WHERE id > changed.after ORDER BY id LIMIT %(limit)s
    ) AS task
), ranked AS (
    UPDATE tasks_task AS task
    SET head_start = own.head_start, rank = task.priority + coalesce(own.head_start, 0)
    FROM (
        SELECT held.id, queue_head_start(changed.seconds, coalesce(held.run_at, held.created)) AS head_start
        FROM changed, tasks_task AS held
        WHERE held.id = ANY (ARRAY(
            SELECT looked.id FROM looked, changed WHERE looked.project_id = changed.project_id
        ))
        ORDER BY held.id
        FOR UPDATE OF held
    ) AS own
    WHERE task.id = own.id AND task.head_start IS DISTINCT FROM own.head_start
), settled AS (
    DELETE FROM tasks_ageing
    WHERE project_id = (SELECT project_id FROM changed WHERE seconds = 0) AND NOT EXISTS (SELECT FROM looked)
), moved AS (
    UPDATE tasks_ageing SET after = (SELECT max(id) FROM looked)
    WHERE project_id = (
        SELECT project_id FROM changed WHERE seconds > 0 OR EXISTS (SELECT FROM looked)
    )
)
SELECT count(*) FROM looked
"""
