"""gunicorn's worker class: uvicorn's event loop, with our connections and our end."""

import asyncio
import contextlib
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

# What is left of the time for a stop when connections that are still idle are closed.
CLOSE_SECONDS = 1.0


class FrontServer(Server):
    """Looks after deadlines, and ends without resetting a connection."""

    _next_look = 0.0

    def __init__(self, config: Config, *, parent: int) -> None:
        super().__init__(config)
        self._parent = parent

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The loop notes the signals that end this process; uvicorn would die of them, with nothing cleaned up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True

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
        for connection in list(connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + float(self.config.timeout_graceful_shutdown or 0)
        while connections and loop.time() < deadline:
            if loop.time() > deadline - CLOSE_SECONDS:
                for connection in list(connections):
                    connection.close_if_idle()
            await asyncio.sleep(0.02)
        for connection in list(connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()


class FrontWorker(UvicornWorker):
    """A web process."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": FrontProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        # tracker.api.throttle reads X-Forwarded-For itself, from trusted proxies only.
        "proxy_headers": False,
    }

    async def _serve(self) -> None:
        _allow_open_files()
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
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout
        server = FrontServer(self.config, parent=self.ppid)
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
