"""One database connection of the event loop: psycopg2's asynchronous one.

The same driver as Django's, so statements and parameters are the same to the letter, and nothing relies on prepared
statements where a connection pooler stands before the database. Where none does, statements are prepared in each
session, which saves planning them.

Statements are run with callbacks rather than awaited: a coroutine would pass through the loop several times for each.
"""

import asyncio
import hashlib
import os
import re
import select
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2 import extensions

from tracker.steps import Query, Rows

CONNECT_SECONDS = 10

#: Is called with the rows, or with None and the error.
Done = Callable[[Rows | None, Exception | None], None]

_PARAMETER = re.compile(r"%\((\w+)\)s")


class Connection:
    """One connection; runs one statement at a time."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection: Any = psycopg2.connect(**parameters, async_=True)
        self._cursor: Any = None
        self._prepared: set[str] = set()
        self._prepares = False
        self._file: int | None = None
        # Not select(), which fails with descriptors above 1023.
        self._readable = select.poll()
        self._done: Done | None = None
        self._is_new_statement = False
        self.is_broken = False

    async def open(self) -> None:
        """Wait until the connection is established, and find out whether statements can be prepared."""
        async with asyncio.timeout(CONNECT_SECONDS):
            while (state := self._connection.poll()) != extensions.POLL_OK:
                await self._ready(to_write=state == extensions.POLL_WRITE)
            # A copy is watched: when the connection breaks, the driver closes its own, whose number may then be that
            # of another socket.
            self._file = os.dup(self._connection.fileno())
            self._readable.register(self._file, select.POLLIN)
            self._loop.add_reader(self._file, self._on_readable)
            self._cursor = self._connection.cursor()
            rows = await self._rows(Query("SELECT pg_backend_pid()", {}))
        # A pooler tells its clients process ids of its own, and hands each transaction to another session.
        self._prepares = rows == [(self._connection.get_backend_pid(),)]

    async def _ready(self, *, to_write: bool) -> None:
        """Wait until the socket can be read or written, while connecting, when the driver may change sockets."""
        ready = asyncio.Event()
        file = os.dup(self._connection.fileno())
        watch, unwatch = (
            (self._loop.add_writer, self._loop.remove_writer)
            if to_write
            else (self._loop.add_reader, self._loop.remove_reader)
        )
        watch(file, ready.set)
        try:
            await ready.wait()
        finally:
            unwatch(file)
            os.close(file)

    async def _rows(self, query: Query) -> Rows:
        future: asyncio.Future[Rows] = self._loop.create_future()

        def done(rows: Rows | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(rows or [])
            else:
                future.set_exception(error)

        self.run(query, done)
        return await future

    def run(self, query: Query, done: Done) -> None:
        """Run a statement. `done` gets all rows, or psycopg2's error; perhaps before this returns."""
        known = len(self._prepared)
        text = _prepared(query.statement, self._prepared) if self._prepares else query.statement
        self._is_new_statement = len(self._prepared) > known
        self._done = done
        try:
            self._cursor.execute(text, query.values)
        except Exception as error:
            self._fail(error)
        else:
            self._advance()

    def _advance(self) -> bool:
        """Read and write what can be read and written, and tell if that ends the statement; else return True."""
        try:
            state = self._connection.poll()
            if state == extensions.POLL_READ:
                return True
            if state == extensions.POLL_WRITE:
                # Rare: there is more to send than the socket takes.
                self._loop.add_writer(self._file, self._on_writable)  # type: ignore[arg-type]
                return False
            rows: Rows = self._cursor.fetchall() if self._cursor.description else []
        except Exception as error:
            self._fail(error)
            return False
        done, self._done = self._done, None
        if done is not None:
            done(rows, None)
        return False

    def _fail(self, error: Exception) -> None:
        # Whether the session has prepared a statement whose first run failed is not known. And what the server may
        # still send after an error of another kind would be taken for the next statement's result.
        self.is_broken = self._connection.closed != 0 or self._is_new_statement or not isinstance(error, psycopg2.Error)
        done, self._done = self._done, None
        if done is not None:
            done(None, error)

    def _on_readable(self) -> None:
        if self._done is not None:
            # After an error of the socket, libuv watches it no longer. The driver may have read no more than the
            # server's last words then, and its next read finds the end.
            while self._advance() and self._readable.poll(0):
                pass
        elif self._file is not None and self._readable.poll(0):
            # Nothing was asked, and this call is not a late one about what has been read: the server has ended it.
            self.is_broken = True
            self._unwatch()

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._file)  # type: ignore[arg-type]
        self._on_readable()

    def _unwatch(self) -> None:
        if self._file is not None:
            self._readable.unregister(self._file)
            self._loop.remove_reader(self._file)
            self._loop.remove_writer(self._file)
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Close it at once; the server gives up what it is at."""
        self._unwatch()
        self._connection.close()


async def opened(parameters: dict[str, Any]) -> Connection:
    """A new connection. Raises psycopg2's errors, and TimeoutError."""
    connection = Connection(parameters)
    try:
        await connection.open()
    except BaseException:
        connection.close()
        raise
    return connection


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
