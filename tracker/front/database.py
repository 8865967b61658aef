"""Database connections of the event loop: psycopg2's asynchronous ones.

The same driver as Django's, so statements and parameters are the same to the letter, and nothing relies on prepared
statements where a connection pooler stands before the database. Where none does, statements are prepared in each
session, which saves planning them.
"""

import asyncio
import hashlib
import os
import re
import select
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from django.db import InterfaceError, OperationalError, connections
from psycopg2 import extensions
from psycopg2.errors import DeadlockDetected

from tracker.front.collector import Collector
from tracker.steps import Group, Query, Rows, Steps, T

CONNECT_SECONDS = 10

_PARAMETER = re.compile(r"%\((\w+)\)s")


class Connection:
    """One asynchronous connection; runs one statement at a time."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection: Any = psycopg2.connect(**parameters, async_=True)
        self._prepared: set[str] = set()
        self._prepares = False
        self._file: int | None = None
        self._waits: asyncio.Future[None] | None = None
        self.is_broken = False

    async def open(self) -> None:
        """Wait until the connection is established, and find out whether statements can be prepared."""
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._finish()
            # A copy is watched: when the connection breaks, the driver closes its own, whose number may then be that
            # of another socket.
            self._file = os.dup(self._connection.fileno())
            self._loop.add_reader(self._file, self._on_readable)
            rows = await self.rows(Query("SELECT pg_backend_pid()", {}))
        # A pooler tells its clients process ids of its own, and hands each transaction to another session.
        self._prepares = rows == [(self._connection.get_backend_pid(),)]

    async def rows(self, query: Query) -> Rows:
        """Run a statement and return all rows. Raises psycopg2's errors."""
        cursor = self._connection.cursor()
        known = len(self._prepared)
        text = _prepared(query.statement, self._prepared) if self._prepares else query.statement
        cursor.execute(text, query.values)
        try:
            await self._finish()
        except psycopg2.Error:
            # Whether the session has prepared a statement whose first run failed is not known.
            self.is_broken = self.is_broken or len(self._prepared) > known
            raise
        rows: Rows = cursor.fetchall() if cursor.description else []
        return rows

    async def _finish(self) -> None:
        """Read and write until what was begun has ended."""
        try:
            while (state := self._connection.poll()) != extensions.POLL_OK:
                await self._ready(to_write=state == extensions.POLL_WRITE)
        except psycopg2.Error:
            self.is_broken = self._connection.closed != 0
            raise
        except BaseException:
            # What the server still sends would be taken for the next statement's result.
            self.is_broken = True
            raise
        finally:
            self._waits = None

    async def _ready(self, *, to_write: bool) -> None:
        """Wait until the connection's socket can be read or written."""
        self._waits = self._loop.create_future()
        if self._file is not None and not to_write:
            await self._waits
            return
        # Rare: while connecting, when the driver may change sockets, and with more to send than the socket takes.
        file = os.dup(self._connection.fileno())
        watch, unwatch = (
            (self._loop.add_writer, self._loop.remove_writer)
            if to_write
            else (self._loop.add_reader, self._loop.remove_reader)
        )
        watch(file, self._wake)
        try:
            await self._waits
        finally:
            unwatch(file)
            os.close(file)

    def _on_readable(self) -> None:
        if self._waits is not None:
            self._wake()
        elif self._file is not None and _is_readable(self._file):
            # Nothing was asked, and this call is not a late one about what has been read: the server has ended it.
            self.is_broken = True
            self._unwatch()

    def _wake(self) -> None:
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    def _unwatch(self) -> None:
        if self._file is not None:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Close it at once; the server gives up what it is at."""
        self._unwatch()
        self._connection.close()


def _is_readable(file: int) -> bool:
    # Not select(), which fails with descriptors above 1023.
    watch = select.poll()
    watch.register(file, select.POLLIN)
    return bool(watch.poll(0))


class Database:
    """Up to `size` connections, opened when they are needed."""

    def __init__(self, size: int) -> None:
        self._parameters = _parameters()
        self._free: deque[Connection] = deque()
        self._unopened = size
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._collectors: dict[Group, Collector] = {}

    async def run(self, steps: Steps[T]) -> T:
        """Run steps, each query as soon as a connection is free. The counterpart of tracker.steps.run."""
        try:
            query = next(steps)
            while True:
                try:
                    rows = await self.rows(query)
                except Exception as error:
                    query = steps.throw(error)
                else:
                    query = steps.send(rows)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def rows(self, query: Query) -> Rows:
        """Run one query. Raises django.db's OperationalError and InterfaceError, and psycopg2's other errors."""
        with _translated():
            if query.group is None:
                return await self._run(query)
            if query.group not in self._collectors:
                self._collectors[query.group] = Collector(query.group, self._run)
            return await self._collectors[query.group].rows(query)

    async def _run(self, query: Query) -> Rows:
        try:
            return await self._rows(query)
        except DeadlockDetected:
            if not query.again:
                raise
        return await self._rows(query)

    async def _rows(self, query: Query) -> Rows:
        connection = await self._take()
        try:
            if connection is None:
                connection = await opened(self._parameters)
            return await connection.rows(query)
        finally:
            self._give(connection)

    async def _take(self) -> Connection | None:
        """A connection, or None for the right to open one."""
        while True:
            while self._free:
                connection = self._free.pop()
                if not connection.is_broken:
                    return connection
                connection.close()
                self._unopened += 1
            if self._unopened:
                self._unopened -= 1
                return None
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _give(self, connection: Connection | None) -> None:
        if connection is None or connection.is_broken:
            self._unopened += 1
            if connection is not None:
                connection.close()
        else:
            self._free.append(connection)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """Close the connections that are free."""
        while self._free:
            self._free.pop().close()


async def opened(parameters: dict[str, Any]) -> Connection:
    """A new connection. Raises psycopg2's errors, and TimeoutError."""
    connection = Connection(parameters)
    try:
        await connection.open()
    except BaseException:
        connection.close()
        raise
    return connection


def _parameters() -> dict[str, Any]:
    """What Django connects with."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    return {name: value for name, value in parameters.items() if name not in ("cursor_factory", "context")} | {
        "client_encoding": "UTF8"
    }


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what Django's connections raise when the database is away."""
    try:
        yield
    except TimeoutError as error:
        raise OperationalError("The database can't be reached.") from error
    except psycopg2.OperationalError as error:
        raise OperationalError(*error.args) from error
    except psycopg2.InterfaceError as error:
        raise InterfaceError(*error.args) from error


_texts: dict[str, tuple[str, str, str]] = {}


def _prepared(statement: str, prepared: set[str]) -> str:
    """The text that runs a statement as a prepared one, and prepares it first if the session hasn't."""
    if statement not in _texts:
        names = list(dict.fromkeys(_PARAMETER.findall(statement)))
        if not names:
            return statement
        positions = {name: f"${position}" for position, name in enumerate(names, start=1)}
        # The same name is always the same statement, whoever shares the session.
        name = f"tracker_{hashlib.sha256(statement.encode()).hexdigest()[:16]}"
        body = _PARAMETER.sub(lambda match: positions[match[1]], statement).replace("%%", "%")
        arguments = ", ".join(f"%({name})s" for name in names)
        _texts[statement] = name, f"PREPARE {name} AS {body.replace('%', '%%')};", f"EXECUTE {name}({arguments})"
    name, prepare, execute = _texts[statement]
    if name in prepared:
        return execute
    prepared.add(name)
    return f"{prepare} {execute}"
