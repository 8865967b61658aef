"""What a call reads of the queue does not grow with the queue.

Counted in pages that the database visits, since times would be of this machine and this moment. In each test the
session has made its plans while the queue was empty.
"""

from contextlib import closing, contextmanager
from functools import partial

import psycopg2
import pytest
from django.db import connection, transaction

from projects.models import Project
from tasks import maintenance, queue, repeating
from tasks.models import Task
from tasks.queries.search import Criteria
from tasks.queue import frontier, holding
from tasks.queue.delays import fail_expired, make_due_ready
from tests.client import Api
from tests.clock import Clock
from tests.factories import SOMEBODY, ProjectFactory, expire, grant, register
from tests.processes import eventually
from tracker import db

pytestmark = pytest.mark.django_db(transaction=True)

# Pages of the table of tasks and its indexes that a call may visit; MANY tasks fill twice as many.
FEW = 150
MANY = 20_000

FILL = """
INSERT INTO tasks_task
    (project_id, recipe, priority, verification_count, voters, votes,
     assignee_id, lease, assign_time, lease_expires)
SELECT %(project)s, 'x', %(priority)s, 2 * cardinality(%(voters)s::bigint[]), %(voters)s, %(voters)s,
       %(assignee)s, CASE WHEN %(leased)s THEN gen_random_uuid() END, CASE WHEN %(leased)s THEN now() END,
       CASE WHEN %(leased)s THEN now() + interval '1 hour' END
FROM generate_series(1, %(count)s)
"""

DELAY = """
INSERT INTO tasks_task (project_id, recipe, status, run_at, expires_at)
SELECT %(project)s, 'x', 3, now() + make_interval(secs => 3600 + number), now() + make_interval(secs => 7200 + number)
FROM generate_series(1, %(count)s) AS number
"""

VISITED = """
SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::bigint FROM pg_class
WHERE oid = 'tasks_task'::regclass
   OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'tasks_task'::regclass)
"""


def fill(project, count=MANY, *, priority=0, voters=(), assignee=None):
    values = {"project": project.pk, "count": count, "priority": priority, "voters": list(voters)}
    with connection.cursor() as cursor:
        cursor.execute(FILL, values | {"assignee": assignee, "leased": assignee is not None})


AUTOVACUUM = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'autovacuum worker'
"""


def visited(call):
    """The call's result and how many pages of the queue it visited."""
    # While another table is analysed, its snapshot keeps dead entries in this one, too.
    eventually(lambda: db.one(AUTOVACUUM) == (0,))
    with transaction.atomic():
        (before,) = db.one(VISITED)
        result = call()
        (after,) = db.one(VISITED)
    return result, after - before


class Caller:
    """A worker that may do everything in a project, and the calls it makes."""

    def __init__(self, project):
        self.project, self.registration = project, register()
        grant(self.registration, project, submit=True)
        self.worker = self.registration.worker

    def submit(self, **columns):
        return queue.submit(worker=self.worker, project_id=self.project.pk, task=queue.NewTask("x", **columns))

    def lease(self, count=1):
        return queue.lease_many(worker=self.worker, project_id=self.project.pk, count=count).tasks

    def release(self, task, result=queue.Result.OK):
        return queue.release(worker=self.worker, task_id=task.id, result=result, verification=1)

    def heartbeat(self, tasks):
        beats = [queue.Heartbeat(task.id, task.lease, 5000.0) for task in tasks]
        return queue.heartbeat(worker=self.worker, heartbeats=beats)

    def exchange(self, tasks, count, kept=()):
        reports = [queue.Report(task.id, queue.Result.OK) for task in tasks]
        beats = [queue.Heartbeat(task.id, task.lease, 9000.0) for task in kept]
        return queue.exchange(
            worker=self.worker, project_id=self.project.pk, count=count, reports=reports, heartbeats=beats
        )

    def pages(self):
        """What each call visits, by its name."""
        pages = {"submit": visited(self.submit)[1], "submit with hash": visited(partial(self.submit, hash64=7))[1]}
        for result in (queue.Result.SKIP, queue.Result.FAIL, queue.Result.OK):
            (task,), pages[f"lease before {result.name}"] = visited(self.lease)
            released, pages[result.name] = visited(partial(self.release, task, result))
            assert released.held
        tasks, pages["lease 3"] = visited(partial(self.lease, 3))
        extended, pages["heartbeat 3"] = visited(partial(self.heartbeat, tasks))
        assert all(one.expires for one in extended)
        assert len(extended) == len(tasks)
        lost, pages["lost heartbeat"] = visited(partial(self.heartbeat, [task]))
        assert [one.expires for one in lost] == [None]
        (released, leased, _), pages["exchange 3"] = visited(partial(self.exchange, tasks, 3))
        assert [one.held for one in released] == [True] * len(tasks)
        done, kept = leased.tasks[:1], leased.tasks[1:]
        (_, _, extended), pages["exchange with heartbeats"] = visited(partial(self.exchange, done, 1, kept))
        assert all(one.expires for one in extended)
        assert len(extended) == len(kept)
        return pages


@pytest.fixture
def caller(project):
    """A caller whose session has made its plans while the queue was empty."""
    caller = Caller(project)
    # An ANALYZE in between would have the plans made anew.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tasks_task SET (autovacuum_enabled = off)")
        cursor.execute("VACUUM ANALYZE tasks_task")
    for _ in range(8):
        caller.submit()
    caller.pages()
    Task.objects.all().delete()
    assert caller.lease() == []
    yield caller
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tasks_task RESET (autovacuum_enabled)")


def assert_few(pages):
    assert max(pages.values()) < FEW, pages
    # It does count them.
    assert min(pages.values()) > 0, pages


def test_many_tasks(caller, project):
    fill(project)
    assert_few(caller.pages())


def test_many_leased(caller, project):
    fill(project, assignee=register().worker.pk)
    fill(project, 100)
    assert_few(caller.pages())
    Task.objects.filter(assignee=None).delete()
    assert visited(caller.lease)[1] < FEW


def test_many_other_projects(caller, project):
    for _ in range(200):
        fill(ProjectFactory(), MANY // 200)
    fill(project, 100)
    assert_few(caller.pages())


def test_many_that_it_has_verified_at_the_head(caller, project):
    fill(project, voters=[caller.worker.pk], priority=9)
    fill(project, 10, voters=[SOMEBODY], priority=8)
    fill(project, 100)
    task, pages = visited(caller.lease)
    assert task[0].priority == 8
    assert pages < FEW
    assert_few(caller.pages())


@pytest.mark.parametrize("analysed", [False, True])
def test_many_of_many_priorities_that_it_has_verified(caller, project, analysed):
    """With others or alone; and the plans are made anew after an ANALYZE, knowing that there are many."""
    for priority in range(1000, 0, -1):
        fill(project, MANY // 1000, voters=[caller.worker.pk, SOMEBODY][: 1 + priority % 2], priority=priority)
    fill(project, 10, voters=[SOMEBODY])
    fill(project, 100, priority=-1)
    if analysed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
    assert caller.lease()[0].priority == 0
    assert_few(caller.pages())


def test_nothing_but_what_it_has_verified(caller, project):
    fill(project, voters=[caller.worker.pk])
    leased, pages = visited(
        partial(queue.lease_many, worker=caller.worker, project_id=project.pk, count=1),
    )
    assert leased.reason == "verified_all"
    assert pages < FEW


def test_many_that_others_have_verified(caller, project):
    for voter in range(-20, 0):
        fill(project, MANY // 20, voters=[voter])
    fill(project, 100)
    assert_few(caller.pages())


def test_many_that_others_have_verified_while_they_are_analysed(caller, project):
    """The snapshot of an ANALYZE keeps dead entries, some for each call; and the plans are made anew after one."""
    for voter in range(-20, 0):
        fill(project, MANY // 20, voters=[voter])
    fill(project, 100)
    with old_snapshot():
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
        assert_few(caller.pages())


@pytest.mark.parametrize(("count", "analysed"), [(1_000_000, True), (MANY, False)])
def test_a_million_delayed(caller, project, count, analysed):
    """Of the same project; and some become ready among them."""
    make_due_ready()
    fail_expired()
    with connection.cursor() as cursor:
        cursor.execute(DELAY, {"project": project.pk, "count": count})
        if analysed:
            cursor.execute("ANALYZE tasks_task")
    fill(project, 100)
    assert_few(caller.pages())
    assert visited(make_due_ready)[0] == 0
    Task.objects.filter(pk__in=Task.objects.filter(status=3)[:3].values("pk")).update(run_at="2020-01-01T00:00:00Z")
    due, pages = visited(make_due_ready)
    assert due == 3
    assert pages < FEW
    expired, pages = visited(fail_expired)
    assert expired == 0
    assert pages < FEW
    later = [task.pk for task in Task.objects.filter(status=3).order_by("-run_at")[:3]]
    run, pages = visited(partial(maintenance.run_now_matching, Criteria([project.pk], ids=later)))
    assert run == 3
    assert pages < FEW
    Task.objects.filter(status=1).delete()
    empty, pages = visited(
        partial(queue.lease_many, worker=caller.worker, project_id=project.pk, count=1),
    )
    assert (empty.tasks, empty.reason) == ([], "delayed")
    assert pages < FEW


def test_many_that_age(caller, project):
    Project.objects.filter(pk=project.pk).update(ageing_seconds=60)
    fill(project)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_task SET head_start = -id, rank = priority - id")
        cursor.execute("VACUUM tasks_task")
    assert_few(caller.pages())


def test_releases_of_a_large_batch(caller, project):
    fill(project)
    caller.lease(1000)
    Task.objects.filter(assignee__isnull=False).update(verification_count=2)
    ids = list(Task.objects.filter(assignee__isnull=False).values_list("pk", flat=True))
    reports = [queue.Report(task_id, queue.Result.OK, 1) for task_id in ids]
    released, pages = visited(partial(queue.release_many, worker=caller.worker, reports=reports))
    assert [one.missing for one in released] == [1] * 1000
    # Each task is looked up a few times and written to six indexes, and none is looked for among others.
    assert pages < 60 * 1000


def test_heartbeats_of_a_large_batch(caller, project):
    fill(project)
    tasks = caller.lease(1000)
    extended, pages = visited(partial(caller.heartbeat, tasks))
    assert all(one.expires for one in extended)
    # Each task is looked up a few times and written to four indexes, and none is looked for among others.
    assert pages < 40 * 1000


ATTEMPTS = """
INSERT INTO tasks_attempt (task_id, project_id, worker_id, lease, began, outcome, version)
SELECT n, %(project)s, %(worker)s, gen_random_uuid(), now(), 6, '' FROM generate_series(1, %(count)s) AS n
RETURNING task_id, lease
"""
VISITED_ATTEMPTS = VISITED.replace("tasks_task", "tasks_attempt")


def test_what_was_cancelled_is_found_among_many_attempts(caller, project):
    """Also by a session that made its plan while there were none, with many attempts of this worker or of others."""
    nothing = [queue.Heartbeat(1, "00000000-0000-0000-0000-000000000001")]
    for _ in range(8):
        queue.heartbeat(worker=caller.worker, heartbeats=nothing)
    values = {"project": project.pk, "count": MANY}
    db.rows(ATTEMPTS, values | {"worker": register().worker.pk})
    gone = db.rows(ATTEMPTS, values | {"worker": caller.worker.pk})[-1]
    beat = queue.Heartbeat(gone[0], str(gone[1]))
    report = queue.Report(gone[0], queue.Result.OK, lease=str(gone[1]))
    for call in (
        partial(queue.heartbeat, worker=caller.worker, heartbeats=[beat]),
        partial(queue.release_many, worker=caller.worker, reports=[report]),
    ):
        eventually(lambda: db.one(AUTOVACUUM) == (0,))
        with transaction.atomic():
            (before,) = db.one(VISITED_ATTEMPTS)
            (told,) = call()
            (after,) = db.one(VISITED_ATTEMPTS)
        assert told.cancelled
        assert 0 < after - before < 20


class TestDeadEntries:
    """While an old snapshot keeps dead entries at the head of the queue, as a vacuum that is late does."""

    @pytest.fixture
    def clock(self, monkeypatch):
        clock = Clock()
        monkeypatch.setattr("tasks.queue.leasing._frontier", frontier.Frontier(clock))
        monkeypatch.setattr("tasks.queue.leasing._allowances", holding.Allowances(clock))
        return clock

    @pytest.fixture
    def worn(self, caller, project, clock):
        """The queue after so many leases that none of their traces could be removed."""
        Project.objects.filter(pk=project.pk).update(max_leases=2 * MANY)
        fill(project)
        with old_snapshot():
            with connection.cursor() as cursor:
                cursor.execute(LEASE_MOST, {"count": MANY * 3 // 4, "worker": caller.worker.pk})
            yield

    @pytest.mark.usefixtures("worn")
    def test_are_stepped_over_once(self, caller, project, clock):
        first, pages = visited(caller.lease)
        assert pages > frontier.PAGES
        second, pages = visited(caller.lease)
        assert pages < FEW
        assert second[0].id == first[0].id + 1
        assert_few(caller.pages())

    @pytest.mark.usefixtures("worn")
    def test_what_comes_before_is_found_a_little_later(self, caller, project, clock):
        caller.lease()
        urgent = caller.submit(priority=5)
        assert caller.lease()[0].priority == 0
        clock.now += frontier.LONGEST_SECONDS
        assert caller.lease()[0].id == urgent

    @pytest.mark.usefixtures("worn")
    def test_all_the_others_are_found(self, caller, project, clock):
        fill(project, 10, priority=-1)
        rest = MANY - MANY * 3 // 4
        found = [task for _ in range(6) for task in caller.lease(1000)]
        assert [task.priority for task in found] == [0] * rest + [-1] * 10
        assert len({task.id for task in found}) == rest + 10
        assert caller.lease() == []

    @pytest.mark.usefixtures("worn")
    def test_an_expired_lease_is_found_at_once(self, caller, project, clock):
        first = caller.lease()[0]
        Task.objects.filter(assignee=None).delete()
        expire(first.id)
        assert caller.lease()[0].id == first.id
        assert caller.lease() == []

    @pytest.mark.usefixtures("worn")
    def test_an_empty_queue_is_not_searched_again_and_again(self, caller, project, clock):
        Task.objects.filter(assignee=None).delete()
        assert visited(caller.lease)[1] > frontier.PAGES
        assert visited(caller.lease)[1] < FEW
        clock.now += frontier.LONGEST_SECONDS
        caller.submit()
        assert len(caller.lease()) == 1


class TestKeys:
    """A million calls with an Idempotency-Key within ten minutes."""

    @pytest.fixture
    def keys(self, caller):
        """The session has made its plans while there were none."""
        for number in range(8):
            self.pages(caller, f"before {number}")
        db.affected("TRUNCATE tasks_repeatable")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tasks_repeatable SET (autovacuum_enabled = off)")
            cursor.execute(FILL_KEYS, {"count": MANY_KEYS, "worker": caller.worker.pk})
            cursor.execute("VACUUM tasks_repeatable")
        yield
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tasks_repeatable RESET (autovacuum_enabled)")

    def pages(self, caller, name):
        """What each call visits of the keys, by its name: the first time, and repeated."""
        for _ in range(8):
            caller.submit()
        project = caller.project.pk
        task = {"project": project, "recipe": "x"}
        held = [{"task_id": one.id, "result": 0} for one in [*caller.lease(), *caller.lease()]]
        pages = {}
        for path, body in {
            "/task/submit": task,
            "/task/bulk_submit": [task, task],
            f"/task/get/{project}": None,
            "/task/get": None,
            "/task/release": held[0],
            "/task/bulk_release": held[1:],
            "/task/exchange": {"project": project, "count": 1},
        }.items():
            for turn in ("first", "again"):
                headers = {"Idempotency-Key": f"{name} {path}"}
                send = partial(Api().get, path) if body is None else partial(Api().post, path, body)
                answer, count = self.visited(partial(send, worker=caller.registration, headers=headers))
                assert answer.ok, answer
                assert ("Idempotency-Replayed" in answer.headers) is (turn == "again")
                pages[f"{path} {turn}"] = count
        return pages

    @pytest.mark.usefixtures("keys")
    def test_few_of_them_are_visited(self, caller):
        pages = self.pages(caller, "after")
        assert max(pages.values()) < FEW_KEYS, pages
        assert min(pages.values()) > 0, pages
        # By a call without a key, none.
        assert self.visited(caller.pages)[1] == 0
        assert self.visited(repeating.forget_keys)[1] < 10
        db.affected("UPDATE tasks_repeatable SET at = now() - interval '1 hour' WHERE key IN ('5', '500000')")
        assert self.visited(repeating.forget_keys)[1] < 30
        assert db.one("SELECT count(*) FROM tasks_repeatable WHERE key IN ('5', '500000')") == (0,)

    def visited(self, call):
        with transaction.atomic():
            (before,) = db.one(KEY_PAGES)
            result = call()
            (after,) = db.one(KEY_PAGES)
        return result, after - before


MANY_KEYS, FEW_KEYS = 1_000_000, 40

FILL_KEYS = """
INSERT INTO tasks_repeatable (worker_id, key, request, answers)
SELECT %(worker)s + mod(n, 2), n::text, '\\x00'::bytea, ARRAY['[{"outcome":"stored","id":1}]']
FROM generate_series(1, %(count)s) AS n
"""

KEY_PAGES = """
SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::bigint FROM pg_class
WHERE oid = 'tasks_repeatable'::regclass
   OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'tasks_repeatable'::regclass)
"""

LEASE_MOST = """
UPDATE tasks_task
SET assignee_id = %(worker)s, lease = gen_random_uuid(), assign_time = now(), lease_expires = now() + interval '1 hour'
WHERE id = ANY (ARRAY(SELECT id FROM tasks_task ORDER BY priority DESC, id LIMIT %(count)s))
"""


@contextmanager
def old_snapshot():
    """Another session that sees the tables as they are now, until the end."""
    with closing(psycopg2.connect(connection.connection.dsn)) as other, other.cursor() as cursor:
        other.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SELECT count(*) FROM tasks_task")
        yield
