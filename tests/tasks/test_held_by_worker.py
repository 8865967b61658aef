"""What a worker holds, and its newest attempts."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from tasks import queue
from tasks.models import Attempt, Outcome
from tasks.queries import held
from tasks.queries.held import leases_of, newest_attempts
from tests.factories import ProjectFactory, TaskFactory
from tests.tasks.test_plans import nodes
from tracker import db

pytestmark = pytest.mark.django_db


def attempt(worker, project, *, age, **columns):
    now = timezone.now()
    times = {"began": now - timedelta(seconds=age + 30), "ended": now - timedelta(seconds=age)}
    return Attempt.objects.create(
        task_id=age,
        project=project,
        worker=worker.worker,
        lease=UUID(int=1),
        version="",
        **{"outcome": Outcome.FAILED} | times | columns,
    )


def test_leases(project, worker, other_worker):
    other = ProjectFactory()
    for where, seconds in ((project, 900), (other, 300), (project, 600), (ProjectFactory(), 1)):
        TaskFactory(project=where, max_assign_time=seconds)
        queue.lease(project=where, worker=worker.worker)
    TaskFactory(project=project)
    queue.lease(project=project, worker=other_worker.worker)
    found = leases_of(worker.worker.pk, [project.pk, other.pk], limit=9)
    assert [(one.project, (one.until - one.since).total_seconds()) for one in found] == [
        *((other.pk, 300), (project.pk, 600), (project.pk, 900)),
    ]
    assert leases_of(worker.worker.pk, [project.pk, other.pk], limit=2) == found[:2]
    assert leases_of(worker.worker.pk, [], limit=2) == []


def test_attempts(project, worker, other_worker, monkeypatch):
    for age in (1, 3, 2):
        attempt(worker, project, age=age, message="m" * 3000, seconds=7 if age == 2 else None)
    attempt(worker, ProjectFactory(), age=0)
    attempt(other_worker, project, age=0)
    found = newest_attempts(worker.worker.pk, [project.pk], limit=9)
    assert [(one.task, one.took) for one in found] == [(1, 30), (2, 7), (3, 30)]
    assert found[0].message == "m" * 2000
    assert newest_attempts(worker.worker.pk, [project.pk], limit=2) == found[:2]
    # Those elsewhere may hide older ones.
    monkeypatch.setattr(held, "LOOKED", 2)
    assert newest_attempts(worker.worker.pk, [project.pk], limit=9) == found[:1]


FILL = """
INSERT INTO tasks_attempt (task_id, project_id, worker_id, lease, began, ended, outcome, version)
SELECT n, 1, n %% 50, gen_random_uuid(), now(), now() - make_interval(secs => n), 1, ''
FROM generate_series(1, 20000) AS n
"""
FILL_LEASED = """
INSERT INTO tasks_task (project_id, recipe, assignee_id, lease, assign_time, lease_expires)
SELECT %(project)s, 'x', n %% 50, gen_random_uuid(), now(), now() + make_interval(secs => n)
FROM generate_series(1, 20000) AS n
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "index"),
    [(held.ATTEMPTS, "attempt_by_worker"), (held.LEASES, "task_held")],
    ids=["attempts", "leases"],
)
def test_plans(project, worker, statement, index):
    db.affected(FILL, {})
    db.affected(FILL_LEASED, {"project": project.pk})
    db.affected("ANALYZE tasks_attempt, tasks_task")
    values = {"worker": 7, "projects": f"{{{project.pk}}}", "limit": 50, "looked": 100, "longest": 10}
    (plan,) = db.one(f"EXPLAIN (FORMAT JSON) {statement}", values)
    tables = {"tasks_attempt", "tasks_task"}
    scans = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") in tables]
    assert [node.get("Index Name", node["Node Type"]) for node in scans] == [index]
