"""The statements use indexes, even before the table was first analysed."""

import pytest
from django.db import connection, transaction

from tasks.models import Task
from tasks.queries import search
from tasks.queries.overview import OVERVIEWS
from tasks.queue.expiry import EXPIRE
from tasks.queue.submitting import FIND_BY_HASH
from tests.factories import ProjectFactory, register
from tracker import db

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = 8_000
FILL = "INSERT INTO tasks_task (project_id, recipe, hash64) SELECT %s, 'x', generate_series(1, %s)"


@pytest.fixture
def values():
    project, worker = ProjectFactory(), register().worker
    with connection.cursor() as cursor:
        cursor.execute(FILL, [project.pk, TASKS])
    return {
        "project": project.pk,
        "worker": worker.pk,
        "rate": 0.0,
        "lease_seconds": 60,
        "task": Task.objects.first().pk,
        "lease": None,
        "verification": 1,
        "hashes": [5],
        "limit": 100,
    }


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans_of_tasks(statement, values):
    """(kind of scan, index) of every node of the plan that reads the queue table and was executed."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON, ANALYZE) {statement}", values)
        plan = cursor.fetchone()[0]
    return {
        (node["Node Type"], index_of(node))
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name") == "tasks_task" and "Scan" in node["Node Type"] and node["Actual Loops"]
    }


def index_of(node):
    """The index of a scan; for a bitmap heap scan, it is in the child node."""
    return (node["Plans"][-1] if node["Node Type"] == "Bitmap Heap Scan" else node).get("Index Name")


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize(
    ("statement", "indexes"),
    [
        (FIND_BY_HASH, {"task_hash_unique"}),
        (EXPIRE, {"task_leased", "tasks_task_pkey"}),
    ],
    ids=["find by hash", "expire"],
)
def test_uses_indexes(values, statement, indexes, analysed):
    if analysed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
    scans = scans_of_tasks(statement, values)
    assert {index for _, index in scans} <= indexes
    if analysed:  # Without statistics, the planner may as well choose a bitmap scan.
        assert {kind for kind, _ in scans} <= {"Index Scan", "Index Only Scan"}


def test_jit_is_off_where_sorting_is_disabled():
    """Up to PostgreSQL 17, a disabled plan node that can't be avoided costs enough to trigger JIT compilation."""
    (settings,) = db.one("SELECT proconfig FROM pg_proc WHERE proname = 'queue_lock_verified'")
    assert {"enable_sort=off", "jit=off"} <= set(settings)


def test_overviews_use_index_scans(values):
    """Also for a project with few tasks beside one with many."""
    few = ProjectFactory()
    with connection.cursor() as cursor:
        cursor.execute(FILL, [few.pk, 3])
        cursor.execute("ANALYZE tasks_task")
    counted = {"projects": [values["project"], few.pk], "counted": 100, "rate_seconds": 600}
    assert {kind for kind, _ in scans_of_tasks(OVERVIEWS, counted)} <= {"Index Scan", "Index Only Scan"}


@pytest.mark.parametrize("priority", [None, 0])
def test_a_page_of_ready_tasks_reads_few_of_them(values, priority):
    criteria = search.Criteria([values["project"]], priority=priority)
    with transaction.atomic():
        db.rows(search.WALK_ALONG)
        for step in search._steps(criteria._replace(states=(search.State.READY,)), None):
            bounds = criteria.values(step.walked) | step.values | {"bound": 30_000, "skip": 0, "limit": 101}
            ((plan,),) = db.rows(f"EXPLAIN (FORMAT JSON, ANALYZE) {search._FIND[step.name]}", bounds)
            scans = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "tasks_task"]
            assert scans
            assert sum(node["Actual Rows"] for node in scans) < 300, step
