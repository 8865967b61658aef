"""A server of connections on a loop, for tests of what clients may do to it."""

import asyncio
from contextlib import asynccontextmanager

from uvicorn.config import Config
from uvicorn.server import ServerState

from tracker.front.protocol import FrontProtocol, expire_overdue


class Server:
    def __init__(self, state, port):
        self.state, self.port = state, port
        self.clients = []

    async def connect(self, sent=b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        writer.write(sent)
        return reader, writer

    async def received(self, count=1):
        """Wait until so many connections have received what was sent."""
        while len(self.state.connections) < count:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0.001)

    def after(self, seconds):
        """Do what is done when so many seconds have passed."""
        expire_overdue(self.state.connections, asyncio.get_running_loop().time() + seconds)


@asynccontextmanager
async def serving(application, **attributes):
    """`attributes` are those of the protocol: `limits`, `calls`."""
    loop, state = asyncio.get_running_loop(), ServerState()
    config = Config(application, http=FrontProtocol, ws="none", lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    protocol = type("Protocol", (FrontProtocol,), attributes)
    listener = await loop.create_server(lambda: protocol(config, state, {}, _loop=loop), "127.0.0.1", 0)
    try:
        server = Server(state, listener.sockets[0].getsockname()[1])
        yield server
    finally:
        for writer in server.clients:
            writer.transport.abort()
        for connection in list(state.connections):
            connection.transport.abort()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0)
