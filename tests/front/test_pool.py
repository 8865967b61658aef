"""The bounded pool of threads."""

import asyncio
import threading

import pytest

from tests.front.loops import on_loop
from tracker.front.pool import Pool, PoolBusy


def run(scenario, **options):
    async def main():
        pool = Pool(**{"threads": 1, "waiting": 1, "patience": 20} | options)
        try:
            return await scenario(pool)
        finally:
            pool.shutdown()

    return on_loop(main())


def test_it_works():
    async def scenario(pool):
        return await pool.run(lambda a, b: (a + b, threading.current_thread().name), 1, 2)

    total, name = run(scenario)
    assert total == 3
    assert name.startswith("django")


def test_errors_are_passed_on_and_give_the_thread_back():
    async def scenario(pool):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 / 0)

    run(scenario, waiting=0)


def test_a_full_queue_is_refused_at_once():
    async def scenario(pool):
        gate = threading.Event()
        calls = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(PoolBusy):
            await pool.run(gate.wait)
        gate.set()
        return await asyncio.gather(*calls)

    assert run(scenario) == [True, True]


def test_who_has_waited_too_long_is_refused():
    async def scenario(pool):
        gate = threading.Event()
        first = asyncio.ensure_future(pool.run(gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(PoolBusy):
            await pool.run(gate.wait)
        gate.set()
        await first
        return await pool.run(gate.wait)

    assert run(scenario, patience=0.001)


def test_a_caller_that_gives_up_leaves_its_thread_at_work():
    async def scenario(pool):
        gate = threading.Event()
        first = asyncio.ensure_future(pool.run(gate.wait))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(PoolBusy):
            await pool.run(gate.wait)
        gate.set()

    run(scenario, waiting=0)
