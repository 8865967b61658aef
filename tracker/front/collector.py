"""Queries of one kind that wait at the same moment go in one statement: one round trip, one commit.

Nothing is waited for on purpose. A query is sent at once if nothing of its kind is under way; those that arrive
meanwhile go together in the next statement, of which there may be LANES at a time.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

import psycopg2

from tracker import db
from tracker.front.connection import Done
from tracker.steps import Group, Query, Rows

#: Statements of one kind that are under way at a time.
LANES = 2
#: Queries in one statement.
MOST = 64


class _Waiting(NamedTuple):
    query: Query
    done: Done


class Collector:
    """The queries of one group. `run` runs a query by itself."""

    def __init__(self, group: Group, run: Callable[[Query, Done], None]) -> None:
        self._group, self._run = group, run
        self._free_lanes = LANES
        # By caller, whose turn it is first: nobody waits behind another one's many calls.
        self._waiting: OrderedDict[Hashable, deque[_Waiting]] = OrderedDict()

    def query(self, query: Query, done: Done) -> None:
        """Run the query, alone or with others."""
        self._waiting.setdefault(query.values["worker"], deque()).append(_Waiting(query, done))
        if self._free_lanes:
            self._free_lanes -= 1
            # Soon, not now: what has arrived with it comes along.
            asyncio.get_running_loop().call_soon(self.go_on)

    def go_on(self) -> None:
        """Use a lane whose statement has ended for those that wait, if any."""
        batch = self._next()
        match batch:
            case []:
                self._free_lanes += 1
            case [one]:
                self._run(one.query, _Lane(self, one.done))
            case _:
                self._run_together(batch)

    def _next(self) -> list[_Waiting]:
        """The queries for the next statement: one of each caller, then another of each, until there are enough."""
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < MOST:
            caller, queue = self._waiting.popitem(last=False)
            batch.append(queue.popleft())
            if queue:
                self._waiting[caller] = queue
        return batch

    def _run_together(self, batch: list[_Waiting]) -> None:
        batch.sort(key=lambda one: self._group.order(one.query.values))

        def done(rows: Rows | None, error: Exception | None) -> None:
            if error is not None and _was_undone(error):
                # As a whole. One call's fault must not be another's.
                self._run_each(deque(batch))
                return
            self.go_on()
            if error is not None:
                # Whether it was done is not known, as it wouldn't be of a single one.
                for one in batch:
                    one.done(None, error)
                return
            results: list[Rows] = [[] for _ in batch]
            for position, *row in rows or []:
                results[position].append(tuple(row))
            for one, result in zip(batch, results, strict=True):
                one.done(result, None)

        self._run(Query(self._group.statement, _arrays(batch)), done)

    def _run_each(self, batch: deque[_Waiting]) -> None:
        """Run these alone, one after the other."""
        if not batch:
            self.go_on()
            return
        one = batch.popleft()

        def done(rows: Rows | None, error: Exception | None) -> None:
            self._run_each(batch)
            one.done(rows, error)

        self._run(one.query, done)


class _Lane:
    """A query that has a lane to itself."""

    __slots__ = ("_collector", "_done")

    def __init__(self, collector: Collector, done: Done) -> None:
        self._collector, self._done = collector, done

    def __call__(self, rows: Rows | None, error: Exception | None) -> None:
        self._collector.go_on()
        self._done(rows, error)


def _was_undone(error: Exception) -> bool:
    """Whether it is known not to have been done: the database said so, or nothing was sent to it."""
    cause = error.__cause__ or error
    if isinstance(cause, psycopg2.Error):
        return cause.pgcode is not None
    # When no connection can be opened, the next one can't either.
    return not isinstance(cause, OSError)


def _arrays(batch: list[_Waiting]) -> db.Values:
    """The parameters of all, an array for each, and their positions."""
    arrays = {name: db.array([one.query.values[name] for one in batch]) for name in batch[0].query.values}
    return arrays | {"position": db.array(range(len(batch)))}
