"""The event loop's way to the database: runs steps with a few connections, and collects what waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg2
from django.db import InterfaceError, OperationalError, connections
from psycopg2.errors import DeadlockDetected

from tracker.front.collector import Collector
from tracker.front.connection import Connection, Done, opened
from tracker.front.waiting import Waiter, WaitingRoom
from tracker.steps import Group, Query, Rows, Steps, Supply, Wait

#: Seconds between two looks for the signal of a step that waits.
SIGNAL_SECONDS = 1.0

#: Is called with what the steps returned, or with None and the error that they raised.
Ended = Callable[[Any, Exception | None], None]


class Database:
    """Up to `size` connections, opened when they are needed. Up to `waiting` calls may wait for one thing."""

    def __init__(self, size: int, *, waiting: int = 1_000) -> None:
        self._parameters = _parameters()
        self._most_waiting = waiting
        self._rooms: dict[Supply, WaitingRoom] = {}
        self._free: list[Connection] = []
        self._unopened = size
        self._waiting: deque[_Waiting] = deque()
        self._collectors: dict[Group, Collector] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def run(self, steps: Steps[Any], ended: Ended) -> "Run":
        """Run steps, each query as soon as a connection is free. The counterpart of tracker.steps.run."""
        run = Run(self, steps, ended)
        run(None, None)
        return run

    def query(self, query: Query, done: Done) -> None:
        """Run one query. Errors are django.db's OperationalError and InterfaceError, and psycopg2's other ones."""
        if query.group is None:
            self._query(query, done)
            return
        collector = self._collectors.get(query.group)
        if collector is None:
            collector = self._collectors[query.group] = Collector(query.group, self._query)
        collector.query(query, done)

    def room(self, supply: Supply) -> WaitingRoom:
        """Where calls wait for this."""
        room = self._rooms.get(supply)
        if room is None:
            room = self._rooms[supply] = WaitingRoom(supply, self._query, self._most_waiting)
        return room

    def _query(self, query: Query, done: Done) -> None:
        while self._free:
            connection = self._free.pop()
            if not connection.is_broken:
                connection.run(query, _Statement(self, connection, query, done))
                return
            connection.close()
            self._unopened += 1
        if self._unopened:
            self._unopened -= 1
            opening = asyncio.get_running_loop().create_task(self._open(query, done))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
        else:
            self._waiting.append(_Waiting(query, done))

    async def _open(self, query: Query, done: Done) -> None:
        """Run the query on a connection that is opened for it."""
        try:
            connection = await opened(self._parameters)
        except Exception as error:
            self._unopened += 1
            self._next()
            done(None, _translated(error))
        else:
            connection.run(query, _Statement(self, connection, query, done))

    def free(self, connection: Connection) -> None:
        """Take back a connection whose statement has ended."""
        if connection.is_broken:
            connection.close()
            self._unopened += 1
        else:
            self._free.append(connection)
        self._next()

    def _next(self) -> None:
        if self._waiting:
            self._query(*self._waiting.popleft())

    def close(self) -> None:
        """Close the connections that are free."""
        while self._free:
            self._free.pop().close()


class _Waiting(NamedTuple):
    query: Query
    done: Done


class _Statement:
    """A statement that is under way on one of the connections."""

    __slots__ = ("_connection", "_database", "_done", "_query", "_was_repeated")

    def __init__(self, database: Database, connection: Connection, query: Query, done: Done) -> None:
        self._database, self._connection, self._query, self._done = database, connection, query, done
        self._was_repeated = False

    def __call__(self, rows: Rows | None, error: Exception | None) -> None:
        if error is None:
            self._database.free(self._connection)
            self._done(rows, None)
        elif isinstance(error, DeadlockDetected) and self._query.again and not self._was_repeated:
            self._was_repeated = True
            self._connection.run(self._query, self)
        else:
            self._database.free(self._connection)
            self._done(None, _translated(error))


class Run:
    """Steps that are under way: is called with the outcome of the step that they yielded."""

    __slots__ = ("_database", "_ended", "_hurries", "_steps", "_waiter")

    def __init__(self, database: Database, steps: Steps[Any], ended: Ended) -> None:
        self._database, self._steps, self._ended = database, steps, ended
        self._waiter: tuple[WaitingRoom, Waiter] | None = None
        self._hurries = False

    def __call__(self, rows: Rows | None, error: Exception | None) -> None:
        self._waiter = None
        try:
            step = self._steps.send(rows) if error is None else self._steps.throw(error)  # type: ignore[arg-type]
        except StopIteration as end:
            self._ended(end.value, None)
        except Exception as raised:
            self._ended(None, raised)
        else:
            if isinstance(step, Query):
                self._database.query(step, self)
            else:
                self._wait(step)

    def _wait(self, wait: Wait) -> None:
        if self._hurries:
            self([], None)
            return
        room = self._database.room(wait.supply)
        waiter = room.wait(wait, self)
        if waiter is not None:
            self._waiter = room, waiter
            if wait.signal is not None:
                self._look_later(wait.signal, waiter)

    def _look_later(self, signal: Query, waiter: Waiter) -> None:
        asyncio.get_running_loop().call_later(SIGNAL_SECONDS, self._look, signal, waiter)

    def _look(self, signal: Query, waiter: Waiter) -> None:
        """Look for the signal that a waiting step may get, unless it waits no more."""

        def seen(rows: Rows | None, error: Exception | None) -> None:
            if self._waiter is None or self._waiter[1] is not waiter:
                return
            if rows:
                self._waiter[0].wake(waiter)
            else:
                self._look_later(signal, waiter)

        if self._waiter is not None and self._waiter[1] is waiter:
            self._database.query(signal, seen)

    def hurry(self) -> None:
        """Wait no more: whoever waited for the outcome has gone, or the process stops."""
        self._hurries = True
        if self._waiter is not None:
            room, waiter = self._waiter
            room.dismiss(waiter)


def _parameters() -> dict[str, Any]:
    """What Django connects with."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    return {name: value for name, value in parameters.items() if name not in ("cursor_factory", "context")} | {
        "client_encoding": "UTF8"
    }


def _translated(error: Exception) -> Exception:
    """What Django's connections raise when the database is away; other errors as they are."""
    translated: Exception
    match error:
        case OSError():
            # A time-out, or a socket that the driver has closed.
            translated = OperationalError("The database can't be reached.")
        case psycopg2.OperationalError():
            translated = OperationalError(*error.args)
        case psycopg2.InterfaceError():
            translated = InterfaceError(*error.args)
        case _:
            return error
    translated.__cause__ = error
    return translated
