"""What a reader of failures visits does not grow with the attempts, groups and failed tasks.

Counted in pages of the tables and their indexes, as in test_flatness.py.
"""

import pytest
from django.db import connection, transaction

from tasks import maintenance
from tasks.queries import failures, search
from tests.factories import ProjectFactory
from tests.processes import eventually
from tests.tasks.test_flatness import AUTOVACUUM
from tracker import db

pytestmark = pytest.mark.django_db(transaction=True)

GROUPS = 500
ATTEMPTS = 20_000
TABLES = ("tasks_attempt", "tasks_failuregroup", "tasks_outcomeentry", "tasks_task")

FILL_ATTEMPTS = """
INSERT INTO tasks_attempt
    (task_id, project_id, worker_id, lease, began, ended, outcome, message, output, version, fingerprint)
SELECT n, %(project)s, n %% 50 + 1, gen_random_uuid(), now(), now() - (%(attempts)s - n) * interval '1 s', 1,
       repeat('x', 200), repeat('y', 200), 'v', n %% %(groups)s
FROM generate_series(1, %(attempts)s) AS n
"""

FILL_GROUPS = """
INSERT INTO tasks_failuregroup
    (project_id, fingerprint, outcome, message, count, first_seen, last_seen, example, workers, versions)
SELECT project_id, fingerprint, 1, 'x', count(*), min(ended), max(ended), max(id), '{1}', '{v}'
FROM tasks_attempt GROUP BY project_id, fingerprint
"""

FILL_TASKS = """
INSERT INTO tasks_task (project_id, recipe, status, failure)
SELECT %(project)s, 'x', 2, n %% %(groups)s FROM generate_series(1, %(attempts)s) AS n
"""

FILL_WAITING = """
INSERT INTO tasks_outcomeentry (project_id, worker_id, outcome, attempt)
SELECT project_id, worker_id, 1, id FROM tasks_attempt WHERE project_id = %(project)s ORDER BY id DESC LIMIT %(waiting)s
"""

VISITED = """
SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::bigint FROM pg_class
WHERE relname = ANY (%(tables)s)
   OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY (%(tables)s::regclass[]))
"""


def visited(call):
    """How many pages the call visited."""
    eventually(lambda: db.one(AUTOVACUUM) == (0,))
    values = {"tables": list(TABLES)}
    with transaction.atomic():
        (before,) = db.one(VISITED, values)
        call()
        (after,) = db.one(VISITED, values)
    return after - before


@pytest.fixture(params=[False, True], ids=["as filled", "analysed"])
def many(request):
    """Two projects with many failures, before or after the tables were analysed."""
    projects = [ProjectFactory(), ProjectFactory()]
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            cursor.execute(f"VACUUM ANALYZE {table}")
        for project in projects:
            values = {"project": project.pk, "attempts": ATTEMPTS, "groups": GROUPS}
            cursor.execute(FILL_ATTEMPTS, values)
            cursor.execute(FILL_TASKS, values)
        cursor.execute(FILL_GROUPS)
        if request.param:
            for table in TABLES:
                cursor.execute(f"ANALYZE {table}")
    yield projects
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


# Each group of a page costs its row, its newest attempt and its 40 failed tasks, each with its index.
PER_GROUP = 60


def test_a_page_of_groups(many):
    one, ids = [many[0].pk], [project.pk for project in many]
    assert 10 < visited(lambda: failures.find(one, limit=10)) < 10 * PER_GROUP
    assert visited(lambda: failures.find(ids, limit=10)) < 10 * PER_GROUP
    after = failures.find(one, limit=GROUPS // 2).following
    assert visited(lambda: failures.find(one, after=after, limit=10)) < 10 * PER_GROUP


def test_one_group(many):
    assert 3 < visited(lambda: failures.get(many[0].pk, 7)) < 2 * PER_GROUP


def test_attempts_of_a_group(many):
    page = failures.attempts(many[0].pk, 7, limit=10)
    assert 3 < visited(lambda: failures.attempts(many[0].pk, 7, limit=10)) < 40
    assert visited(lambda: failures.attempts(many[0].pk, 7, after=page.following, limit=10)) < 40


def test_attempts_of_a_group_that_is_old(many):
    """The newest ones belong to other groups: they are not looked through."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tasks_attempt SET fingerprint = CASE WHEN id %% 2 = 0 AND id < %s THEN 1 ELSE 2 END",
            [failures.find([many[0].pk], limit=1).groups[0].example.id],
        )
        cursor.execute("VACUUM ANALYZE tasks_attempt")
    assert len(failures.attempts(many[0].pk, 1, limit=10).attempts) == 10
    assert visited(lambda: failures.attempts(many[0].pk, 1, limit=10)) < 40


def test_failed_tasks_are_counted_up_to_a_bound(many, monkeypatch):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_task SET failure = 7 WHERE project_id = %s", [many[0].pk])
        cursor.execute("VACUUM tasks_task")
    monkeypatch.setattr(failures, "COUNTED", 100)
    assert visited(lambda: failures.get(many[0].pk, 7)) < 150


def test_what_waits(many):
    """Ten pages for an entry at most: its attempt, the index, and its group."""
    with connection.cursor() as cursor:
        cursor.execute(FILL_WAITING, {"project": many[0].pk, "waiting": 300})
    found = failures.find([many[0].pk], limit=10)
    assert len(found.groups) == 10
    assert visited(lambda: failures.find([many[0].pk], limit=10)) < 10 * PER_GROUP + 300 * 10


def test_others_are_not_looked_at(many):
    """Entries of other projects are only read past."""
    with connection.cursor() as cursor:
        cursor.execute(FILL_WAITING, {"project": many[1].pk, "waiting": 3_000})
    assert visited(lambda: failures.find([many[0].pk], limit=10)) < 10 * PER_GROUP + 100


def test_acting_on_a_group(many):
    """Each of its 40 tasks is found, locked and written to the indexes that it moves to."""
    tasks = failures.tasks_of(many[0].pk, 7)
    assert visited(lambda: search.find(tasks, limit=100)) < 150
    assert visited(lambda: maintenance.set_priority_of_matching(tasks, priority=3)) < 40 * 100
    assert visited(lambda: maintenance.retry_matching(tasks)) < 40 * 100
    assert failures.get(many[0].pk, 7).failed_tasks == 0
