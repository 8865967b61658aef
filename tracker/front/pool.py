"""A bounded pool of threads that runs the synchronous application, and a bounded queue before it."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")


class PoolBusy(Exception):
    """The queue to the pool is full, or a request has waited in it for too long."""


class Pool:
    """`threads` threads; `waiting` calls may wait for one, each for `patience` seconds."""

    def __init__(self, threads: int, *, waiting: int, patience: float) -> None:
        self._free = threads
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._most_waiting = waiting
        self._patience = patience
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="django")

    async def run(self, function: Callable[..., Outcome], *arguments: Any) -> Outcome:
        """Call the function in a thread. Raises PoolBusy."""
        await self._take()
        try:
            # Shielded: a caller that is cancelled must not give back a thread that is still at work.
            call = asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except BaseException:
            self._give()
            raise
        call.add_done_callback(self._give)
        return await asyncio.shield(call)

    async def _take(self) -> None:
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._most_waiting:
            raise PoolBusy
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), self._patience)
        except BaseException as error:
            if turn.done():
                # It was given a thread at this very moment.
                self._give()
            else:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise PoolBusy from error
            raise

    def _give(self, _call: Any = None) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    def shutdown(self) -> None:
        """Let go of the threads once they have ended what they are at; nothing that waits is begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)
