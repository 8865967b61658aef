"""The data to measure with: workers, projects, tasks. Written by SQL, since there is a lot of it."""

import hashlib
import secrets
from typing import NamedTuple

from benchmarks.client import RECIPE
from benchmarks.server import Tracker

WORKERS = 32


class Workers(NamedTuple):
    """Workers with consecutive ids from `first` on. They share a secret, so that pgbench needs only one digest."""

    first: int
    secret: str

    def identities(self, count: int) -> list[tuple[int, str]]:
        """Ids and secrets of the first `count` workers."""
        return [(self.first + number, self.secret) for number in range(count)]

    @property
    def digest(self) -> str:
        """The digest that the tracker stores, in PostgreSQL's text format for bytea; see workers.services.digest."""
        return rf"\x{hashlib.sha256(self.secret.encode()).hexdigest()}"


def create_workers(tracker: Tracker) -> Workers:
    """Create as many workers as any row needs."""
    secret = secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).digest()
    ((first,),) = tracker.sql(
        """
        WITH added AS (
            INSERT INTO workers_worker (alias, secret_digest, paused)
            SELECT 'benchmark', %(digest)s, false FROM generate_series(1, %(count)s)
            RETURNING id
        )
        SELECT min(id) FROM added
        """,
        {"digest": digest, "count": WORKERS},
    )
    return Workers(first, secret)


def create_projects(tracker: Tracker, name: str, count: int = 1, *, assign_rate: float = 0) -> list[int]:
    """Create public projects in which every worker may submit, and return their ids.

    They are copies of a new tracker's sample project, so that columns need not be named here.
    """
    rows = tracker.sql(
        """
        WITH made AS (
            INSERT INTO projects_project
            SELECT copy.*
            FROM projects_project AS sample, generate_series(1, %(count)s) AS number, jsonb_populate_record(
                sample,
                jsonb_build_object(
                    'id', nextval(pg_get_serial_sequence('projects_project', 'id')),
                    'name', %(name)s || ' ' || number,
                    'name_key', %(name)s || ' ' || number,
                    'public', true,
                    -- A client that is stopped keeps the leases of its last request.
                    'max_leases', 1000000,
                    'assign_rate', %(assign_rate)s
                )
            ) AS copy
            WHERE sample.name = 'hello'
            RETURNING id
        ), granted AS (
            INSERT INTO workers_workeraccess (worker_id, project_id, assign, submit, wants_assign, wants_submit)
            SELECT worker.id, made.id, true, true, false, false FROM made, workers_worker AS worker
        )
        SELECT id FROM made ORDER BY id
        """,
        {"name": f"{name} {secrets.token_hex(2)}", "count": count, "assign_rate": assign_rate},
    )
    return [project for (project,) in rows]


def fill(tracker: Tracker, project: int, count: int, **columns: str) -> None:
    """Add tasks to the project; `columns` maps further columns to SQL expressions."""
    if count <= 0:
        return
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    tracker.sql(
        f"""
        INSERT INTO tasks_task (project_id, recipe{names})
        SELECT {project:d}, '{RECIPE}'{values} FROM generate_series(1, {count:d})
        """  # noqa: S608
    )


_FOLD = """
from tasks.queue import upkeep
upkeep.BATCH = 1_000_000
while upkeep.fold_closed():
    pass
"""


def settle(tracker: Tracker) -> None:
    """Fold and vacuum now what the last measurement left, or the tracker would do so during the next one."""
    if tracker.sql("SELECT FROM tasks_closedentry LIMIT 1"):
        tracker.python(_FOLD)
    for table in ("tasks_task", "tasks_closedentry", "tasks_closedtask"):
        tracker.sql(f"VACUUM (ANALYZE) {table}")


def checkpoint(tracker: Tracker) -> None:
    """Write new data to disk now, or the disk is busy with it for minutes while commits wait for the disk."""
    tracker.sql("CHECKPOINT")


def empty(tracker: Tracker) -> None:
    """Delete all tasks and closed tasks, so that the next row starts with tables like new."""
    tracker.sql("TRUNCATE tasks_task, tasks_closedtask, tasks_closedentry, tasks_closedtotal")


def ready(tracker: Tracker, project: int) -> int:
    """How many tasks are ready."""
    ((count,),) = tracker.sql(
        "SELECT count(*) FROM tasks_task WHERE project_id = %(project)s AND status = 1 AND assignee_id IS NULL",
        {"project": project},
    )
    return int(count)


def closings(tracker: Tracker, project: int) -> int:
    """How many tasks were closed since the project was created or `empty` was called."""
    ((count,),) = tracker.sql(
        """
        SELECT coalesce((SELECT sum(count) FROM tasks_closedtotal WHERE project_id = %(project)s), 0)
             + coalesce((SELECT sum(count) FROM tasks_closedentry WHERE project_id = %(project)s), 0)
        """,
        {"project": project},
    )
    return int(count)
