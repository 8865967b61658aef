"""The room where calls wait: who is woken, and when. Looks are made by hand; nothing here takes time."""

import asyncio

import pytest

from tests.front.loops import on_loop, outcome
from tracker.front import waiting
from tracker.front.waiting import Crowded, WaitingRoom
from tracker.steps import Supply, Wait

SUPPLY = Supply("how much")


class Stock:
    """Stands for the database: answers what it was told that there is."""

    def __init__(self):
        self.queries = []
        self.rows = []

    def __call__(self, query, done):
        self.queries.append(query)
        done(self.rows, None) if type(self.rows) is list else done(None, self.rows)


@pytest.fixture(autouse=True)
def looks_by_hand(monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 1_000.0)


def run(scenario, size=100):
    async def main():
        stock = Stock()
        return await scenario(WaitingRoom(SUPPLY, stock, size), stock)

    return on_loop(main())


def join(room, *keys, amount=1, seconds=1_000, particular=0.0, rest=0.0):
    wait = Wait(SUPPLY, frozenset(keys), amount, seconds, particular, rest)
    return asyncio.ensure_future(outcome(room.wait, wait))


async def look(room):
    await asyncio.sleep(0)
    room.look()
    await asyncio.sleep(0)


def woken(calls):
    return [call.done() and bool(call.result()) for call in calls]


def test_it_works():
    async def scenario(room, stock):
        call = join(room, 7)
        await look(room)
        assert woken([call]) == [False]
        stock.rows = [(7, 1, 0)]
        await look(room)
        return woken([call]), [query.values for query in stock.queries]

    assert run(scenario) == ([True], 2 * [{"keys": "{7}", "amounts": "{1}"}])


def test_as_many_as_there_is_work_for_and_the_longest_waiting_first():
    async def scenario(room, stock):
        calls = [join(room, 7), join(room, 8), join(room, 7, amount=2), join(room, 7, 8), join(room, 7)]
        stock.rows = [(7, 2, 0), (8, 2, 0)]
        await look(room)
        return woken(calls)

    assert run(scenario) == [True, True, True, True, False]


def test_what_is_asked():
    async def scenario(room, stock):
        calls = [join(room, 7, amount=600), join(room, 7, 8, amount=600), join(room, 9, seconds=0)]
        await calls[-1]
        await look(room)
        return stock.queries[-1].values

    assert run(scenario) == {"keys": "{7,8}", "amounts": "{1000,600}"}


def test_the_end_of_the_time():
    async def scenario(room, stock):
        return await join(room, 7, seconds=0)

    assert run(scenario) == []


@pytest.mark.parametrize(
    ("rows", "options", "is_woken"),
    [
        ([(7, 0, 1)], {}, True),
        ([(7, 0, 1)], {"particular": 50.0}, False),
        ([(7, 1, 0)], {"particular": 50.0}, True),
        ([(7, 1, 0)], {"rest": 50.0}, False),
        ([(7, 0, 1)], {"rest": 50.0}, False),
    ],
)
def test_what_only_some_can_have(rows, options, is_woken):
    async def scenario(room, stock):
        call = join(room, 7, **options)
        stock.rows = rows
        await look(room)
        return call.done()

    assert run(scenario) == is_woken


def test_who_has_gone_takes_nothing():
    async def scenario(room, stock):
        ended = []
        wait = Wait(SUPPLY, frozenset([7]), 1, 1_000)
        waiter = room.wait(wait, lambda rows, error: ended.append(rows))
        other = join(room, 7)
        await asyncio.sleep(0)
        room.dismiss(waiter)
        stock.rows = [(7, 1, 0)]
        await look(room)
        return ended, woken([other])

    assert run(scenario) == ([[]], [True])


def test_too_many():
    async def scenario(room, stock):
        calls = [join(room, 7), join(room, 7)]
        with pytest.raises(Crowded) as refused:
            await join(room, 7)
        stock.rows = [(7, 1, 0)]
        await look(room)
        # There is room again.
        calls.append(join(room, 7))
        await asyncio.sleep(0)
        return woken(calls), refused.value.reply()

    states, reply = run(scenario, size=2)
    assert states == [True, False, False]
    assert reply.status == 503
    assert int(reply.headers["Retry-After"]) >= 5


def test_a_look_that_fails():
    async def scenario(room, stock):
        call = join(room, 7)
        stock.rows = OSError("away")
        await look(room)
        stock.rows = [(7, 1, 0)]
        await look(room)
        return woken([call])

    assert run(scenario) == [True]


def test_nobody_waits_so_nobody_looks():
    async def scenario(room, stock):
        await join(room, 7, seconds=0)
        await look(room)
        return stock.queries

    assert run(scenario) == []
