"""gunicorn's worker class: uvicorn's event loop, with our connections and our end."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from gunicorn.arbiter import Arbiter
from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from tracker.addresses import is_trusted_proxy
from tracker.front.limits import Limits
from tracker.front.protocol import FrontProtocol, expire_overdue
from tracker.serve.stopping import ANSWERS_UNTIL, IDLE_UNTIL
from tracker.serve.supervisor import report_ready

# How long a client that was refused at the end may take to read that.
LAST_WORD_SECONDS = 0.2


class FrontServer(Server):
    """Looks after deadlines, and ends without resetting a connection."""

    _next_look = 0.0

    def __init__(self, config: Config, *, parent: int, processes: int) -> None:
        super().__init__(config)
        self._parent, self._processes = parent, processes

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The loop notes the signals that end this process; uvicorn would die of them, with nothing cleaned up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        report_ready(self._processes)

    async def on_tick(self, counter: int) -> bool:
        if os.getppid() != self._parent:
            # gunicorn's arbiter was killed.
            self.should_exit = True
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._next_look = now + 1.0
            expire_overdue(self.server_state.connections, now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        connections: set[Any] = self.server_state.connections
        loop = asyncio.get_running_loop()
        began = loop.time()
        idle_until = began + settings.STOP_SECONDS * IDLE_UNTIL
        answers_until = began + settings.STOP_SECONDS * ANSWERS_UNTIL
        while connections and loop.time() < answers_until:
            for connection in list(connections):
                # In every round, since the loop may not have seen yet what the kernel has accepted for it.
                if not connection.stopping:
                    connection.shutdown()
                if loop.time() > idle_until:
                    connection.close_if_idle()
            await asyncio.sleep(0.02)
        await self._give_up(connections)
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    async def _give_up(self, connections: set[Any]) -> None:
        """Tell the clients whose requests are not complete or not answered."""
        for connection in list(connections):
            if not connection.has_ended:
                connection.refuse(503, "The tracker is being stopped; try again.", "Retry-After: 1\r\n")
        if connections:
            await asyncio.sleep(LAST_WORD_SECONDS)
        for connection in list(connections):
            connection.transport.abort()


class FrontWorker(UvicornWorker):
    """A web process."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": FrontProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        # tracker.addresses reads X-Forwarded-For itself, from trusted proxies only.
        "proxy_headers": False,
    }

    async def _serve(self) -> None:
        _allow_open_files()
        # What has been loaded stays; looking through it for garbage again and again would delay calls.
        gc.freeze()
        FrontProtocol.limits = Limits(
            head_seconds=settings.CLIENT_HEAD_SECONDS,
            body_seconds=settings.CLIENT_BODY_SECONDS,
            body_bytes=settings.MAX_BULK_BODY_BYTES,
            idle_seconds=settings.CLIENT_IDLE_SECONDS,
            unread_seconds=settings.CLIENT_UNREAD_SECONDS,
            connections=settings.CLIENT_CONNECTIONS,
            per_address=settings.CLIENT_CONNECTIONS_PER_ADDRESS,
        )
        FrontProtocol.proxies = TrustedProxies()
        FrontProtocol.calls = self.wsgi.calls
        self.config.app = self.wsgi
        server = FrontServer(self.config, parent=self.ppid, processes=self.cfg.workers)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class TrustedProxies:
    """The addresses in TRUSTED_PROXIES."""

    def __contains__(self, address: object) -> bool:
        return is_trusted_proxy(str(address))


def _allow_open_files() -> None:
    """Raise the limit of open files, which is often 1024, as far as the system lets us."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = settings.CLIENT_CONNECTIONS + 1_000
    allowed = enough if hard == resource.RLIM_INFINITY else min(hard, enough)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, _soft), hard))
