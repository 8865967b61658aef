"""The event loop's database connections, and collected calls on the real queue."""

import asyncio
import socket
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
import uvloop
from django.db import OperationalError
from psycopg2 import extensions

from projects.models import Project
from projects.ratelimit import RateLimited
from tasks import queue
from tasks.models import ClosedTask, Task
from tests.factories import ProjectFactory, TaskFactory, register
from tests.front.loops import on_loop, outcome
from tests.processes import PATIENCE_SECONDS
from tracker import db
from tracker.front import database as front
from tracker.front.collector import LANES
from tracker.front.connection import opened
from tracker.front.database import Database
from tracker.steps import Group, Query, Supply, Wait
from workers.identity import Credentials, UnknownWorker

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 24


def run(scenario, size=4):
    """Run a scenario with a database of its own, on a loop of its own."""

    async def main():
        database = Database(size)
        try:
            return await scenario(database)
        finally:
            database.close()

    return on_loop(main())


def all_at_once(*works, size=4):
    """What these steps return or raise, begun at the same moment."""

    async def scenario(database):
        return await asyncio.gather(*(outcome(database.run, work) for work in works), return_exceptions=True)

    return run(scenario, size)


def test_it_works():
    async def scenario(database):
        return await outcome(database.query, Query("SELECT %(number)s + 1, %(text)s", {"number": 41, "text": "100 %"}))

    assert run(scenario) == [(42, "100 %")]


def test_statements_are_prepared_once_per_session():
    async def scenario(database):
        for number in range(3):
            await outcome(database.query, Query("SELECT %(number)s::int % 2", {"number": number}))
        return await outcome(database.query, Query("SELECT count(*)::int FROM pg_prepared_statements", {}))

    assert run(scenario, size=1) == [(1,)]


def test_a_large_statement():
    text = "x" * 5_000_000

    async def scenario(database):
        return await outcome(database.query, Query("SELECT length(%(text)s)", {"text": text}))

    assert run(scenario) == [(len(text),)]


def test_more_work_than_connections():
    async def scenario(database):
        query = Query("SELECT pg_backend_pid() FROM pg_sleep(0.01)", {})
        return await asyncio.gather(*(outcome(database.query, query) for _ in range(20)))

    assert 1 <= len({rows[0] for rows in run(scenario, size=3)}) <= 3


def test_errors_are_those_of_django():
    async def scenario(database):
        with pytest.raises(OperationalError):
            await outcome(database.query, Query("SELECT pg_terminate_backend(pg_backend_pid())", {}))
        # The next one has a new connection.
        return await outcome(database.query, Query("SELECT 1", {}))

    assert run(scenario, size=1) == [(1,)]


def test_a_connection_that_ended_while_idle_is_not_used():
    async def scenario(database):
        ((backend,),) = await outcome(database.query, Query("SELECT pg_backend_pid()", {}))
        (connection,) = database._free
        await asyncio.to_thread(terminate, backend)
        while not connection.is_broken:
            await asyncio.sleep(0.01)
        return await outcome(database.query, Query("SELECT 1", {}))

    assert run(scenario, size=1) == [(1,)]


def terminate(backend):
    from django.db import connection

    try:
        db.one("SELECT pg_terminate_backend(%(backend)s)", {"backend": backend})
    finally:
        connection.close()


def test_a_server_that_is_away(settings, monkeypatch):
    async def scenario(database):
        database._parameters["host"] = "/nowhere"
        with pytest.raises(OperationalError):
            await outcome(database.query, Query("SELECT 1", {}))

    run(scenario)


def test_one_calls_fault_is_not_anothers():
    group = Group(
        """
        SELECT call.position, 10 / call.worker
        FROM unnest(%(position)s::int[], %(worker)s::int[]) AS call (position, worker)
        """,
        order=lambda values: values["worker"],
    )

    async def scenario(database):
        queries = [Query("SELECT 10 / %(worker)s", {"worker": worker}, group=group) for worker in (5, 0, 2, 1)]
        return await asyncio.gather(*(outcome(database.query, query) for query in queries), return_exceptions=True)

    five, zero, two, one = run(scenario)
    assert (five, two, one) == ([(2,)], [(5,)], [(10,)])
    assert "division by zero" in str(zero)


@pytest.fixture
def workers():
    return [register().worker for _ in range(WORKERS)]


def leases(project, workers):
    return [queue.lease_many.steps(worker=worker, project_id=project.pk, count=1) for worker in workers]


def test_leases_that_wait_together(project, workers, monkeypatch):
    TaskFactory.create_batch(WORKERS - 4, project=project)
    statements = count_statements(monkeypatch)
    leased = all_at_once(*leases(project, workers))
    tasks = [task for one in leased for task in one.tasks]
    assert len({task.id for task in tasks}) == len(tasks) == WORKERS - 4
    assert {(task.id, task.assignee) for task in tasks} == set(
        Task.objects.exclude(assignee=None).values_list("pk", "assignee")
    )
    assert sum(one.reason == "leased" for one in leased) == 4
    assert len(statements) <= 2 * LANES


def count_statements(monkeypatch):
    statements = []
    really = Database._query

    def counted(self, query, done):
        statements.append(query)
        really(self, query, done)

    monkeypatch.setattr(Database, "_query", counted)
    return statements


def test_leases_keep_the_rate(workers):
    project = ProjectFactory(assign_rate=0.001)
    TaskFactory.create_batch(WORKERS, project=project)
    outcomes = Counter(type(one) for one in all_at_once(*leases(project, workers)))
    assert outcomes == {queue.Leased: 1, RateLimited: WORKERS - 1}


def test_who_calls_is_asked_for_each(project, workers):
    TaskFactory.create_batch(WORKERS, project=project)
    stranger = Credentials(workers[0].pk, bytes(32))
    *others, refused = all_at_once(*leases(project, [*workers[1:], stranger]))
    assert type(refused) is UnknownWorker
    assert all(one.tasks for one in others)


def test_several_agree_in_one_statement(project, workers):
    task = TaskFactory(project=project, verification_count=3)
    voters = workers[:4]
    held = []
    for worker in voters:
        # One after the other, since a task is leased to one worker at a time.
        leased = queue.lease_many(worker=worker, project_id=project.pk, count=1)
        held.append(bool(leased.tasks))
        if leased.tasks:
            all_at_once(
                *(
                    queue.release.steps(worker=one, task_id=task.pk, result=queue.Result.OK, verification=5)
                    for one in (worker, *workers[4:])
                )
            )
    assert held == [True, True, True, False]
    assert ClosedTask.objects.get().verification == 5


def test_submits_of_one_hash(project, workers):
    from tests.factories import grant

    Project.objects.filter(pk=project.pk).update(public=False)
    works = []
    for worker in workers:
        grant(registration_of(worker), project, submit=True)
        task = queue.NewTask("x", hash64=7)
        works.append(queue.submit.steps(worker=worker, project_id=project.pk, task=task))
    outcomes = all_at_once(*works)
    stored = [one for one in outcomes if isinstance(one, int)]
    assert stored == [Task.objects.get().pk]
    assert all(type(one) is queue.DuplicateTask for one in outcomes if one not in stored)


def registration_of(worker):
    from workers.services import Registration

    return Registration(worker, "")


class DyingServer:
    """A driver's connection whose server dies without having read the last statement: the socket has an error, then."""

    closed = 0

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.states = deque()

    def fileno(self):
        return self.ours.fileno()

    def get_backend_pid(self):
        return 1

    def cursor(self):
        return self

    description = True

    def execute(self, statement, values):
        if "backend_pid" in statement:
            return
        self.ours.send(b"unread")
        self.theirs.close()
        # Nothing yet; the server's last words, after which libpq waits for the end; the end.
        self.states += [extensions.POLL_READ, extensions.POLL_READ]

    def poll(self):
        if self.states:
            return self.states.popleft()
        if self.theirs.fileno() == -1:
            self.closed = 2
            raise psycopg2.OperationalError("server closed the connection unexpectedly")
        return extensions.POLL_OK

    def fetchall(self):
        return [(1,)]

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_server_that_dies_while_a_statement_is_under_way(monkeypatch, new_loop):
    """libuv stops watching a socket that has an error, after having told so once."""
    monkeypatch.setattr(psycopg2, "connect", lambda **_: DyingServer())

    async def main():
        connection = await opened({})
        try:
            await asyncio.wait_for(outcome(connection.run, Query("SELECT 1", {})), PATIENCE_SECONDS)
        finally:
            assert connection.is_broken
            connection.close()

    def run_it():
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    with ThreadPoolExecutor(1) as other, pytest.raises(psycopg2.OperationalError, match="unexpectedly"):
        other.submit(run_it).result()


def test_a_signal_ends_a_wait(project, monkeypatch):
    """What is waited for never comes; but another session gives the signal."""
    monkeypatch.setattr(front, "SIGNAL_SECONDS", 0.01)
    signal = Query("SELECT true FROM tasks_task WHERE project_id = %(project)s", {"project": project.pk})
    looks = []

    def waiting(seconds, signal):
        return (yield Wait(Supply("SELECT 1, 0, 0 WHERE false"), frozenset([1]), 1, seconds, signal=signal))

    async def scenario(database):
        def query(query, done):
            looks.append(query)
            ask(query, done)

        ask, database.query = database.query, query
        woken = asyncio.ensure_future(outcome(database.run, waiting(1_000, signal)))
        over = outcome(database.run, waiting(0.05, signal))
        assert await over == []
        while len(looks) < 10:
            await asyncio.sleep(0.01)
        hurried = asyncio.get_running_loop().create_future()
        run_ = database.run(waiting(1_000, signal), lambda rows, error: hurried.set_result(rows))
        run_.hurry()
        assert await hurried == []
        assert not woken.done()
        await outcome(database.query, Query(ADD_TASK, {"project": project.pk}))
        assert await woken == [(True,)]
        count = len(looks)
        await asyncio.sleep(0.1)
        # Nobody looks for those that wait no more.
        assert len(looks) == count

    run(scenario)


ADD_TASK = "INSERT INTO tasks_task (project_id, recipe) VALUES (%(project)s, 'x')"
