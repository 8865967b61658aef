"""The statements use indexes, even before the table was first analysed."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tasks import queue
from tasks.cancelling import CANCEL_HASHES, CANCEL_IDS
from tasks.models import Task
from tasks.queries import closed, search
from tasks.queries.lookups import RECENT
from tasks.queries.overview import OVERVIEWS
from tasks.queries.rates import RATES, SERIES
from tasks.queue.expiry import EXPIRE
from tasks.queue.submitting import FIND_BY_HASH
from tasks.repeating import FORGET_KEYS
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
        "ids": [Task.objects.first().pk, 10**12],
        "submitter": worker.pk,
        "allowed": [project.pk],
        "limit": 100,
    }


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans_of_tasks(statement, values, *, table="tasks_task"):
    """(kind of scan, index) of every node of the plan that reads the queue table and was executed."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON, ANALYZE) {statement}", values)
        plan = cursor.fetchone()[0]
    return {
        (node["Node Type"], index_of(node))
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name") == table and "Scan" in node["Node Type"] and node["Actual Loops"]
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
        (CANCEL_IDS, {"tasks_task_pkey"}),
        (CANCEL_HASHES, {"task_hash_unique", "tasks_task_pkey"}),
    ],
    ids=["find by hash", "expire", "cancel by id", "cancel by hash"],
)
def test_uses_indexes(values, statement, indexes, analysed):
    if analysed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
    scans = scans_of_tasks(statement, values)
    assert {index for _, index in scans} <= indexes
    if analysed:  # Without statistics, the planner may as well choose a bitmap scan.
        assert {kind for kind, _ in scans} <= {"Index Scan", "Index Only Scan"}


SCANNED = """
SELECT relname, seq_scan FROM pg_stat_xact_user_tables
WHERE relname IN ('tasks_task', 'tasks_attempt', 'projects_project')
"""


@pytest.mark.parametrize("analysed", [False, True])
def test_heartbeats_scan_no_table(analysed):
    """Neither to extend leases nor to find out which of the lost ones were cancelled."""
    project, worker = ProjectFactory(), register().worker
    with connection.cursor() as cursor:
        cursor.execute(FILL, [project.pk, TASKS])
        if analysed:
            cursor.execute("ANALYZE tasks_task, tasks_attempt, projects_project")
    tasks = queue.lease_many(worker=worker, project_id=project.pk, count=3).tasks
    lost = "00000000-0000-0000-0000-000000000001"
    beats = [queue.Heartbeat(task.id, lease) for task in tasks for lease in (task.lease, lost)]
    with transaction.atomic():
        before = dict(db.rows(SCANNED))
        extended = queue.heartbeat(worker=worker, heartbeats=beats)
        exchanged = queue.exchange(worker=worker, project_id=project.pk, count=1, reports=[], heartbeats=beats)
        after = dict(db.rows(SCANNED))
    assert [one.expires is None for one in extended] == [False, True] * 3
    assert [one.expires is None for one in exchanged.extended] == [False, True] * 3
    assert after == before | dict.fromkeys(after, 0)


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("old", [0, 3, 20_000])
def test_old_keys_are_found_by_their_time(values, analysed, old):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks_repeatable (worker_id, key, request, answers, at) "
            "SELECT 1, n::text, '', '{x}', now() - make_interval(mins => CASE WHEN n <= %s THEN 60 ELSE 1 END) "
            "FROM generate_series(1, 20000) AS n",
            [old],
        )
        if analysed:
            cursor.execute("ANALYZE tasks_repeatable")
    asked = {"seconds": 660, "limit": 5_000}
    scans = scans_of_tasks(FORGET_KEYS, asked, table="tasks_repeatable")
    assert {kind for kind, _ in scans} <= {"Index Scan", "Bitmap Heap Scan", "Tid Scan"}
    assert {index for _, index in scans} <= {"repeatable_by_time", None}


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
    counted = {"projects": [values["project"], few.pk], "counted": 100}
    assert {kind for kind, _ in scans_of_tasks(OVERVIEWS, counted)} <= {"Index Scan", "Index Only Scan"}


@pytest.mark.parametrize("priority", [None, 0])
def test_a_page_of_ready_tasks_reads_few_of_them(values, priority):
    criteria = search.Criteria([values["project"]], priority=priority)
    with transaction.atomic():
        db.rows(search.WALK_ALONG)
        for step in search._steps(criteria._replace(states=(search.State.READY,)), None):
            bounds = criteria.values(step.walked) | step.values | {"bound": 30_000, "limit": 101}
            ((plan,),) = db.rows(f"EXPLAIN (FORMAT JSON, ANALYZE) {search._FIND[step.name]}", bounds)
            scans = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "tasks_task"]
            assert scans
            assert sum(node["Actual Rows"] for node in scans) < 300, step


def test_a_search_without_a_hit_reads_each_task_once(values, django_assert_num_queries):
    """With one statement for each scan, which also answers where the next page begins."""
    criteria = search.Criteria([values["project"]], text="nothing has this")
    with django_assert_num_queries(7):  # That of WALK_ALONG, four scans, and the transaction's two.
        found = search.find(criteria, limit=100, bound=1000)
    assert (found.ids, found.looked) == ([], 1000)
    with transaction.atomic():
        db.rows(search.WALK_ALONG)
        (step,) = search._steps(criteria._replace(states=(search.State.READY,)), None)
        bounds = criteria.values(step.walked) | step.values | {"bound": 1000, "limit": 101}
        ((plan,),) = db.rows(f"EXPLAIN (FORMAT JSON, ANALYZE) {search._FIND[step.name]}", bounds)
    scans = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "tasks_task"]
    assert sum(node["Actual Rows"] for node in scans) <= 1000


def test_a_search_in_results_reads_each_once(values, django_assert_num_queries):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks_closedtask "
            "(id, project_id, worker_id, recipe, priority, retries, verification, voters, votes, created, assign_time) "
            "SELECT n, %s, 1, 'x', 0, 0, 0, '{}', '{}', now(), now() FROM generate_series(1, 3000) AS n",
            [values["project"]],
        )
        cursor.execute("VACUUM ANALYZE tasks_closedtask")
    criteria = closed.ClosedCriteria([values["project"]], text="nothing has this")
    with django_assert_num_queries(1):
        found = closed.find(criteria, after=None, limit=100, bound=1000)
    assert (found.ids, found.looked) == ([], 1000)


@pytest.mark.parametrize("analysed", [False, True])
def test_rates_and_series_read_few_tallies(values, analysed):
    projects = [values["project"], *(ProjectFactory().pk for _ in range(9))]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks_projecttally (project_id, minute, closed) "
            "SELECT id, date_trunc('minute', now()) - make_interval(mins => back), 1 "
            "FROM projects_project, generate_series(0, 2000) AS back"
        )
        if analysed:
            cursor.execute("VACUUM ANALYZE tasks_projecttally")
    index = {"projecttally_one_per_minute"}
    asked = {"projects": projects, "at": None}
    assert {one for _, one in scans_of_tasks(RATES, asked, table="tasks_projecttally")} == index
    asked = {"project": projects[0], "begin": timezone.now() - timedelta(hours=2), "step": 60}
    assert {one for _, one in scans_of_tasks(SERIES, asked, table="tasks_projecttally")} == index


@pytest.mark.parametrize("analysed", [False, True])
def test_few_failures_are_found_among_many_attempts(values, analysed):
    project = values["project"]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks_attempt (task_id, project_id, worker_id, lease, began, outcome, version, fingerprint) "
            "SELECT n, %s, 1, gen_random_uuid(), now(), CASE WHEN n <= 5 THEN 1 ELSE 3 END, '', "
            "CASE WHEN n <= 5 THEN 7 END FROM generate_series(1, 20000) AS n",
            [project],
        )
        cursor.execute(
            "INSERT INTO tasks_failuregroup "
            "(project_id, fingerprint, outcome, count, first_seen, last_seen, example, workers, versions) "
            "SELECT %s, 7, 1, 5, now(), now(), max(id), '{1}', '{}' FROM tasks_attempt WHERE fingerprint = 7",
            [project],
        )
        if analysed:
            cursor.execute("ANALYZE tasks_attempt")
    asked = {"project": project, "limit": 10, "longest": 500}
    assert len(db.rows(RECENT, asked)) == 5
    scans = scans_of_tasks(RECENT, asked, table="tasks_attempt")
    assert {one for _, one in scans} == {"attempt_alike", "tasks_attempt_pkey"}
