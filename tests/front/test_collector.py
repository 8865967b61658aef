"""Queries that wait at the same moment go in one statement."""

import asyncio

import psycopg2
import pytest
from psycopg2 import errors

from tests.front.loops import on_loop, outcome
from tracker.front.collector import LANES, MOST, Collector
from tracker.steps import Group, Query

GROUP = Group("together", order=lambda values: values["key"])


def query(worker, key=0):
    return Query("alone", {"worker": worker, "key": key}, group=GROUP)


def answer_soon(rows, done):
    def ended(task):
        if task.exception():
            done(None, task.exception())
        else:
            done(task.result(), None)

    asyncio.ensure_future(rows).add_done_callback(ended)


class Recorder:
    """Stands for the database: notes each statement with its parameters, and answers when it is let."""

    def __init__(self):
        self.statements = []
        self.gate = asyncio.Event()

    def __call__(self, query, done):
        self.statements.append(query)
        answer_soon(self._rows(query), done)

    async def _rows(self, query):
        await self.gate.wait()
        if query.statement == "alone":
            return [("alone", query.values["worker"])]
        workers = query.values["worker"][1:-1].split(",")
        return [(position, "together", int(worker)) for position, worker in enumerate(workers)]

    def sizes(self):
        return [
            1 if query.statement == "alone" else query.values["position"].count(",") + 1 for query in self.statements
        ]


def run(scenario):
    return on_loop(scenario)


def test_it_works():
    async def scenario():
        recorder = Recorder()
        recorder.gate.set()
        collector = Collector(GROUP, recorder)
        return await outcome(collector.query, query(7)), recorder.sizes()

    assert run(scenario()) == ([("alone", 7)], [1])


async def occupy(collector, recorder):
    """Fill all lanes with a statement each."""
    calls = []
    for lane in range(LANES):
        calls.append(asyncio.ensure_future(outcome(collector.query, query(-1 - lane))))
        while len(recorder.statements) <= lane:
            await asyncio.sleep(0)
    return calls


def test_those_that_wait_go_together():
    async def scenario():
        recorder = Recorder()
        collector = Collector(GROUP, recorder)
        first = await occupy(collector, recorder)
        later = [asyncio.ensure_future(outcome(collector.query, query(worker))) for worker in range(10)]
        await asyncio.sleep(0)
        recorder.gate.set()
        await asyncio.gather(*first)
        return await asyncio.gather(*later), recorder.sizes()

    rows, sizes = run(scenario())
    assert rows == [[("together", worker)] for worker in range(10)]
    assert sizes == [1] * LANES + [10]


def test_they_are_sorted_for_their_locks():
    async def scenario():
        recorder = Recorder()
        collector = Collector(GROUP, recorder)
        first = await occupy(collector, recorder)
        later = [asyncio.ensure_future(outcome(collector.query, query(worker, key=-worker))) for worker in range(3)]
        await asyncio.sleep(0)
        recorder.gate.set()
        await asyncio.gather(*first, *later)
        return recorder.statements[-1].values["key"]

    assert run(scenario()) == "{-2,-1,0}"


def test_one_workers_many_calls_keep_nobody_waiting():
    async def scenario():
        recorder = Recorder()
        collector = Collector(GROUP, recorder)
        first = await occupy(collector, recorder)
        greedy = [asyncio.ensure_future(outcome(collector.query, query(1))) for _ in range(5 * MOST)]
        modest = asyncio.ensure_future(outcome(collector.query, query(2)))
        await asyncio.sleep(0)
        recorder.gate.set()
        await asyncio.gather(*first, *greedy, modest)
        return recorder

    recorder = run(scenario())
    assert max(recorder.sizes()) == MOST
    assert "2" in recorder.statements[LANES].values["worker"][1:-1].split(",")


def failing(error):
    """A database that fails statements in which worker 3 takes part."""

    async def rows(query):
        workers = query.values["worker"]
        if workers == 3 or (type(workers) is str and "3" in workers[1:-1].split(",")):
            raise error
        return [("alone", workers)]

    return lambda query, done: answer_soon(rows(query), done)


@pytest.mark.parametrize(
    ("error", "others"),
    [
        (errors.lookup("22012")("division by zero"), [("alone", 2)]),
        (psycopg2.OperationalError("server closed the connection"), None),
    ],
)
def test_a_statement_that_fails(error, others, monkeypatch):
    """Each call is done again alone, unless the connection broke: then nobody knows whether it was done."""
    if others:
        monkeypatch.setattr(type(error), "pgcode", "22012", raising=False)

    async def scenario():
        collector = Collector(GROUP, failing(error))
        # The first ones have the lanes, the others wait together.
        workers = [*range(10, 10 + LANES), 2, 3]
        return await asyncio.gather(
            *(outcome(collector.query, query(worker)) for worker in workers), return_exceptions=True
        )

    *_, fine, failed = run(scenario())
    assert failed is error
    assert fine == (others or error)
