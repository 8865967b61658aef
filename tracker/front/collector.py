"""Queries of one kind that wait at the same moment go in one statement: one round trip, one commit.

Nothing is waited for on purpose. A query is sent at once if a lane is free; those that arrive while all lanes are busy
go together in the next statement.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from typing import NamedTuple

import psycopg2

from tracker import db
from tracker.steps import Group, Query, Rows

#: Statements of one kind that are under way at a time.
LANES = 2
#: Queries in one statement.
MOST = 64


class _Waiting(NamedTuple):
    query: Query
    rows: "asyncio.Future[Rows]"


class Collector:
    """The queries of one group. `run` runs a query by itself."""

    def __init__(self, group: Group, run: Callable[[Query], Awaitable[Rows]]) -> None:
        self._group, self._run = group, run
        self._free_lanes = LANES
        # By caller, whose turn it is first: nobody waits behind another one's many calls.
        self._waiting: OrderedDict[Hashable, deque[_Waiting]] = OrderedDict()

    async def rows(self, query: Query) -> Rows:
        """Run the query, alone or with others. Raises what running it raises."""
        loop = asyncio.get_running_loop()
        rows: asyncio.Future[Rows] = loop.create_future()
        self._waiting.setdefault(query.values["worker"], deque()).append(_Waiting(query, rows))
        if self._free_lanes:
            self._free_lanes -= 1
            # Soon, not now: what has arrived with it comes along.
            loop.call_soon(lambda: loop.create_task(self._drain()))
        return await rows

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._run_together(self._next())
        finally:
            self._free_lanes += 1

    def _next(self) -> list[_Waiting]:
        """The queries for the next statement: one of each caller, then another of each, until there are enough."""
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < MOST:
            caller, queue = self._waiting.popitem(last=False)
            batch.append(queue.popleft())
            if queue:
                self._waiting[caller] = queue
        return [one for one in batch if not one.rows.done()]

    async def _run_together(self, batch: list[_Waiting]) -> None:
        if len(batch) < 2:
            for one in batch:
                await self._run_alone(one)
            return
        batch.sort(key=lambda one: self._group.order(one.query.values))
        try:
            rows = await self._run(Query(self._group.statement, _arrays(batch)))
        except psycopg2.Error as error:
            if error.pgcode is None:
                # The connection broke: whether it was done is not known, as it wouldn't be of a single one.
                _fail(batch, error)
                return
            # It was undone as a whole. One call's fault must not be another's.
            for one in batch:
                await self._run_alone(one)
        except BaseException as error:
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise
        else:
            results: list[Rows] = [[] for _ in batch]
            for position, *row in rows:
                results[position].append(tuple(row))
            for one, result in zip(batch, results, strict=True):
                if not one.rows.done():
                    one.rows.set_result(result)

    async def _run_alone(self, one: _Waiting) -> None:
        try:
            rows = await self._run(one.query)
        except BaseException as error:
            _fail([one], error)
            if not isinstance(error, Exception):
                raise
        else:
            if not one.rows.done():
                one.rows.set_result(rows)


def _arrays(batch: list[_Waiting]) -> db.Values:
    """The parameters of all, an array for each, and their positions."""
    arrays = {name: db.array([one.query.values[name] for one in batch]) for name in batch[0].query.values}
    return arrays | {"position": db.array(range(len(batch)))}


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for one in batch:
        if not one.rows.done():
            one.rows.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
