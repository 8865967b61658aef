"""The ASGI application of the web processes: everything that isn't a worker's call, in threads."""

import io
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.urls import Resolver404, get_resolver, resolve

from tracker.front.bridge import Receive, Response, Send, WsgiApplication, WsgiBridge, environ_of, respond
from tracker.front.calls import WorkerCalls
from tracker.front.database import Database
from tracker.front.pool import Pool, PoolBusy


class Application:
    """Hands requests to the synchronous application; answers 503 at once when that has too much to do.

    `calls` answers the other ones, which FrontProtocol doesn't hand to an application.
    """

    _bridge: WsgiBridge

    def __init__(self, synchronous: WsgiApplication) -> None:
        self._synchronous = synchronous
        self._database = Database(settings.WEB_DATABASE_CONNECTIONS, waiting=settings.WEB_WAITING)
        self.calls = WorkerCalls(self._database.run)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        try:
            await self._bridge(scope, receive, send)
        except PoolBusy:
            # As for Django's own error handlers: the URLconf names it.
            busy = get_resolver().resolve_error_handler(503)
            await respond(Response.of(busy(WSGIRequest(environ_of(scope, io.BytesIO())))), send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan: the threads are made in the process that uses them, which was forked."""
        await receive()
        pool = Pool(settings.WEB_THREADS, waiting=settings.WEB_QUEUE, patience=settings.WEB_QUEUE_SECONDS)
        self._bridge = WsgiBridge(self._synchronous, pool, body_limit)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        pool.shutdown()
        self._database.close()
        await send({"type": "lifespan.shutdown.complete"})


def body_limit(path: str) -> int:
    """How many bytes of a request's body are received before the application is asked; 0 at unknown paths."""
    try:
        resolve(path)
    except Resolver404:
        return 0
    path = path.removeprefix("/api")
    if path == "/task/bulk_submit":
        return settings.MAX_BULK_BODY_BYTES
    if path == "/git/receivehook":
        return settings.MAX_WEBHOOK_BODY_BYTES
    if path.endswith("/console/"):
        return settings.MAX_BULK_BODY_BYTES + settings.MAX_BODY_BYTES
    return settings.MAX_BODY_BYTES
