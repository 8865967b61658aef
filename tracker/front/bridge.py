"""Runs the synchronous WSGI application for requests that the event loop has received in full.

A thread is taken once the request's body is there and given back once the response is complete: neither a slow sender
nor a slow reader occupies one. Large bodies and responses are kept in temporary files meanwhile.

A streaming response is made part by part, as fast as its reader takes it: each part takes a thread for a moment,
perhaps another one than the part before. So what makes it must keep nothing that belongs to a thread, such as a
transaction.
"""

import asyncio
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from django.http import HttpResponse, StreamingHttpResponse

from tracker.front.pool import Pool, PoolBusy

WsgiApplication = Callable[..., Iterable[bytes]]
Body = IO[bytes] | tempfile.SpooledTemporaryFile[bytes]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]

#: Bytes of a body or response that are kept in memory; more goes to a temporary file.
IN_MEMORY = 1024 * 1024
BLOCK = 64 * 1024

#: How long a streaming response waits when all threads are taken and too many wait for them.
AGAIN_SECONDS = 0.2


class Disconnected(Exception):
    """The client has gone before its request was complete."""


class Response(NamedTuple):
    """What the application answered. `body` stands at its beginning; it is followed by what `stream` yields."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Body
    stream: StreamingHttpResponse | None = None

    @classmethod
    def of(cls, response: HttpResponse) -> "Response":
        """One that Django has made."""
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
        length = (b"content-length", b"%d" % len(response.content))
        return cls(response.status_code, [*fields, length], io.BytesIO(response.content))


class FileBody:
    """wsgi.file_wrapper: a file that the loop sends by itself, so that no thread waits for its reader."""

    def __init__(self, file: IO[bytes], block_size: int = BLOCK) -> None:
        self.file = file

    def __iter__(self) -> Iterable[bytes]:
        return iter(lambda: self.file.read(BLOCK), b"")

    def close(self) -> None:
        self.file.close()


class WsgiBridge:
    """An ASGI application for HTTP that runs a WSGI application in a pool of threads."""

    def __init__(self, application: WsgiApplication, pool: Pool, body_limit: Callable[[str], int]) -> None:
        self._application, self._pool, self._body_limit = application, pool, body_limit

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:
            try:
                is_read = await receive_body(scope, receive, body, limit=self._body_limit(scope["path"]))
            except Disconnected:
                return
            body.seek(0)
            environ = environ_of(scope, body)
            response = await self._pool.run(run, self._application, environ)
        if not is_read and waits_to_send(scope):
            # It won't send the body that it announced, so that the next request would be taken for that.
            response.headers.append((b"connection", b"close"))
        if response.stream is None:
            await respond(response, send)
        else:
            await self._stream(response, response.stream, receive, send)

    async def _stream(self, response: Response, stream: StreamingHttpResponse, receive: Receive, send: Send) -> None:
        """Send a streaming response; ends when the client has gone."""
        gone = asyncio.ensure_future(disconnected(receive))
        parts: Iterator[bytes] = iter(stream)
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            while not gone.done() and (part := await self._patiently(next, parts, None)) is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            response.body.close()
            # At the end of the process, there are no threads any more.
            with suppress(RuntimeError):
                await self._patiently(stream.close)

    async def _patiently(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function in a thread, however long it takes to get one."""
        while True:
            try:
                return await self._pool.run(function, *arguments)
            except PoolBusy:
                await asyncio.sleep(AGAIN_SECONDS)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def announced_length(scope: dict[str, Any]) -> int | None:
    """The announced length of the body; None for a chunked one."""
    length = 0
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value)
    return length


def waits_to_send(scope: dict[str, Any]) -> bool:
    """Whether the client sends its body only when it has been told to go on."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])


async def receive_body(scope: dict[str, Any], receive: Receive, body: Body, *, limit: int) -> bool:
    """Write the body to a file, and return whether the client was let send it. Raises Disconnected.

    A body that is announced as larger than `limit` is not read, and of a chunked one no more than is needed to see that
    it is: the application refuses both.
    """
    announced = announced_length(scope)
    if announced is not None and announced > limit:
        return False
    length = 0
    more = announced != 0
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        length += body.write(message.get("body", b""))
        more = message.get("more_body", False) and length <= limit
    return True


def environ_of(scope: dict[str, Any], body: Body) -> dict[str, Any]:
    """The WSGI environment of a request (PEP 3333)."""
    server, client = scope.get("server") or ("", None), scope.get("client") or ("", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1] or 0),
        "REMOTE_ADDR": str(client[0]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileBody,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            # X_Forwarded_For would become the same key as X-Forwarded-For.
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def run(application: WsgiApplication, environ: dict[str, Any]) -> Response:
    """Run the application to its end. In a thread."""
    status, headers = 500, []
    body = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115

    def start_response(line: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], Any]:
        nonlocal status, headers
        status = int(line[:3])
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        return body.write

    parts = application(environ, start_response)
    if isinstance(parts, FileBody):
        return Response(status, headers, parts.file)
    if isinstance(parts, StreamingHttpResponse):
        return Response(status, headers, body, parts)
    try:
        for part in parts:
            body.write(part)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    body.seek(0)
    return Response(status, headers, body)


async def respond(response: Response, send: Send) -> None:
    """Send the response, as fast as the client reads it."""
    with response.body as body:
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        while part := body.read(BLOCK):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
