"""A TCP proxy between clients and the tracker, which cuts connections after it has passed a request on.

So the tracker does what it was asked to, and the client doesn't hear of it.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

BLOCK = 1 << 16

# Of the requests that are passed on, how many lose their answer: always, and while `is_cutting`.
RARELY, OFTEN = 0.002, 0.3


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens on a free port, and passes everything on to what `connect` connects to."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]], chance: random.Random) -> None:
        self._connect, self._chance = connect, chance
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        #: Set while connections are to be cut often.
        self.is_cutting = False
        #: Set to cut none any more.
        self.is_quiet = False
        #: How many connections were cut so far.
        self.cuts = 0

    async def start(self) -> int:
        """Listen. Returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        # The loop tells the transports that they are closed.
        await asyncio.sleep(0)

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        to_tracker = None
        try:
            tracker, to_tracker = await self._connect()
            await self._pass(client, to_client, tracker, to_tracker)
        except (OSError, asyncio.CancelledError):
            # Not passed on: asyncio's own callback would report it as an error of the server.
            pass
        finally:
            for writer in (to_client, to_tracker):
                if writer is not None:
                    # At once, and without sending what is left.
                    writer.transport.abort()

    async def _pass(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        tracker: asyncio.StreamReader,
        to_tracker: asyncio.StreamWriter,
    ) -> None:
        """Pass on in both directions until one side closes, or the connection is cut."""
        cut = False

        async def requests() -> None:
            nonlocal cut
            while part := await client.read(BLOCK):
                to_tracker.write(part)
                await to_tracker.drain()
                if self._is_to_cut():
                    cut = True
                    if self._chance.random() < 0.5:
                        # The tracker may find that nobody listens any more while it is at it.
                        return

        async def answers() -> None:
            while part := await tracker.read(BLOCK):
                if cut:
                    return
                to_client.write(part)
                await to_client.drain()

        both = [asyncio.ensure_future(requests()), asyncio.ensure_future(answers())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await one
        self.cuts += cut

    def _is_to_cut(self) -> bool:
        return not self.is_quiet and self._chance.random() < (OFTEN if self.is_cutting else RARELY)
