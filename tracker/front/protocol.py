"""HTTP connections on the event loop, with a deadline for everything that a client may delay.

uvicorn's protocol on httptools parses requests and writes responses. It has no deadline for receiving a request, no
limit on its head, and parses as many pipelined requests as a client sends. This subclass adds them.

Deadlines are not timers: each connection has one, and `expire_overdue` looks through all of them once a second.
"""

import asyncio
import functools
import math
from collections import deque
from collections.abc import Container
from typing import TYPE_CHECKING, Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tracker import addresses
from tracker.api.envelope import Reply
from tracker.front.cycle import CallCycle, encoded
from tracker.front.limits import Clients, Limits

if TYPE_CHECKING:
    from tracker.front.calls import WorkerCalls
    from tracker.front.database import Run

NEVER = math.inf
# How long a client may go on sending after it was refused.
LINGER_SECONDS = 2.0

# How far the request is that is being received.
IDLE, HEAD, BODY = range(3)


class FrontProtocol(HttpToolsProtocol):
    """One connection. `limits` is set once per process, before it listens."""

    limits = Limits()
    #: Answers workers' calls; other requests go to the application.
    calls: "WorkerCalls | None" = None
    #: Addresses that many clients share.
    proxies: Container[str] = ()
    everybody = Clients()

    # On the loop's clock: until when the client has to send more, and to read more.
    deadline = NEVER
    unread_deadline = NEVER
    phase = IDLE
    # Of the head that is being received: bytes of reads that did not complete it, and of its headers.
    head_bytes = 0
    headers_bytes = 0
    peer = ""
    # Whether it is a trusted proxy's. Many clients share its address, so each request counts for its client.
    is_proxy = False
    # A call that is begun when earlier responses have been read.
    held: CallCycle | None = None
    # The call that is being answered.
    run: "Run | None" = None
    stopping = False
    is_lingering = False

    # --- The connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        #: For whom the connection counts or, if it is a proxy's, its requests that are not answered yet.
        self.clients: deque[str] = deque()
        self.deadline = self.loop.time() + self.limits.head_seconds
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.is_proxy = self.peer in self.proxies
        if len(self.connections) > self.limits.connections or not (self.is_proxy or self._enter(self.peer)):
            self.refuse(503, "Too many connections; try again.", "Retry-After: 1\r\n")
            # At once: lingering would take up the room that there isn't.
            self.transport.close()

    def _enter(self, address: str) -> bool:
        """Count a connection, or a proxy's request, for a client. Returns whether the client may have it."""
        client, count = self.everybody.enter(address)
        self.clients.append(client)
        return count <= self.limits.per_address

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._hurry()
        while self.clients:
            self.everybody.leave(self.clients.popleft())

    def eof_received(self) -> bool:  # type: ignore[override]
        # The client has sent everything but may still read: its last response must not be lost.
        if self.is_lingering:
            return False
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self._hurry()
            return True
        return False

    def _hurry(self) -> None:
        """If a call waits for a task, have it wait no more."""
        if self.run is not None:
            self.run.hurry()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread_deadline = self.loop.time() + self.limits.unread_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self.unread_deadline = NEVER
        held, self.held = self.held, None
        if held is not None:
            self._start(held)

    @property
    def has_ended(self) -> bool:
        """Whether no further request is taken from this connection."""
        return self.is_lingering or self.transport.is_closing()

    # --- Requests ---

    def data_received(self, data: bytes) -> None:
        if self.has_ended:
            # Up to the deadline: whoever goes on sending is cut off there.
            return
        super().data_received(data)
        if self.phase == HEAD and not self.has_ended:
            self.head_bytes += len(data)
            if self.head_bytes > self.limits.head_bytes:
                self.refuse(431, f"The request's head is larger than {self.limits.head_bytes} bytes.")

    def on_message_begin(self) -> None:
        self.phase, self.head_bytes, self.headers_bytes = HEAD, 0, 0
        self.deadline = self.loop.time() + self.limits.head_seconds
        # What uvicorn does besides is only needed for requests that an application answers.
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.address_bytes and not self.has_ended:
            self.refuse(414, f"The address is longer than {self.limits.address_bytes} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers_bytes += len(name) + len(value)
        if self.headers_bytes <= self.limits.head_bytes:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
        elif not self.has_ended:
            self.refuse(431, f"The request's head is larger than {self.limits.head_bytes} bytes.")

    def on_headers_complete(self) -> None:
        if self.has_ended:
            return
        self.phase = BODY
        if len(self.pipeline) >= self.limits.pipelined:
            self.refuse(400, "Too many requests at once on one connection; wait for the responses.")
            return
        if self.is_proxy and not self._enter(addresses.client(self.peer, self._forwarded())):
            self.refuse(503, "Too many requests of this client at the same moment; try again.", "Retry-After: 1\r\n")
            return
        self.deadline = self.loop.time() + self.limits.body_seconds + self._announced() / self.limits.body_rate
        if not self._is_call():
            self._begin_scope()
            super().on_headers_complete()
            self.cycle.transport = _Exit(self)  # type: ignore[assignment]
        if self.stopping:
            self.cycle.keep_alive = False

    def _begin_scope(self) -> None:
        """Have uvicorn prepare the request for an application, as it does at the beginning of one."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers

    def _forwarded(self) -> list[str]:
        return [value.decode("latin-1") for name, value in self.headers if name == b"x-forwarded-for"]

    def _is_call(self) -> bool:
        """If the request is a worker's call, make it the connection's current or next one."""
        found = self.calls and self.calls.find(self.parser.get_method(), self.url, self.headers, self.headers_bytes)
        if not found:
            return False
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        is_due = self.cycle is None or self.cycle.response_complete
        self.cycle = CallCycle(found, keep_alive=keep_alive, is_due=is_due)  # type: ignore[assignment]
        if not is_due:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        return True

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, CallCycle):
            cycle.is_due = True
            self._start(cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _start(self, call: CallCycle) -> None:
        if self.flow.write_paused:
            self.held = call
        elif self.calls is not None and call.can_start:
            run = self.calls.answer(call.found, bytes(call.body), functools.partial(self._respond, call))
            if not call.response_complete:
                self.run = run

    def _respond(self, call: CallCycle, reply: Reply) -> None:
        self.run = None
        if call.disconnected or self.has_ended:
            return
        call.response_started = call.response_complete = True
        self.transport.write(encoded(reply, self.date(), keep_alive=call.keep_alive))
        if not call.keep_alive:
            self.linger()
        self.on_response_complete()

    def date(self) -> bytes:
        """The header Date, which uvicorn renews every second, and its other ones."""
        return _lines(self.server_state.default_headers)

    def _announced(self) -> int:
        """The length of the body; of a chunked one, the largest possible."""
        length = 0
        for name, value in self.headers:
            if name == b"transfer-encoding":
                return self.limits.body_bytes
            if name == b"content-length":
                length = min(int(value), self.limits.body_bytes)
        return length

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None and not self.has_ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.phase = IDLE
        if self.has_ended:
            return
        # The response may have been sent before the body had arrived.
        is_answered = self.cycle.response_complete
        self.deadline = self.loop.time() + self.limits.idle_seconds if is_answered else NEVER
        super().on_message_complete()
        if isinstance(self.cycle, CallCycle):
            self._start(self.cycle)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.is_proxy and self.clients:
            self.everybody.leave(self.clients.popleft())
        if self.has_ended:
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.phase == IDLE:
            self.deadline = self.loop.time() + self.limits.idle_seconds

    # --- Refusals ---

    def expire(self, now: float) -> None:
        """End what has taken too long. A client that has sent half a request is told so."""
        is_unread = self.transport.get_write_buffer_size() > 0
        if self.is_lingering and is_unread and now < self.unread_deadline:
            # It still reads its last response.
            self.deadline = now + LINGER_SECONDS
        elif self.unread_deadline < self.deadline or is_unread:
            self.transport.abort()
        elif self.phase == IDLE:
            self.transport.close()
        elif self.phase == HEAD:
            self.refuse(408, "The request's head came too slowly.")
        else:
            self.refuse(
                400,
                "The request body ended before its announced length, came too slowly or was not properly chunked.",
            )

    def send_400_response(self, msg: str) -> None:
        self.refuse(400, f"Bad Request. {msg}")

    def refuse(self, status: int, message: str, headers: str = "") -> None:
        """Answer with an envelope and close the connection, unless a response is under way."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = orjson.dumps({"ok": False, "message": message}, option=orjson.OPT_APPEND_NEWLINE)
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n"
                f"Cache-Control: no-store\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.pipeline.clear()
        self.linger()
        self._hurry()

    def linger(self) -> None:
        """Close once the client has read the last response and stopped sending, or soon after.

        If it were closed with something of the client's not read, the client would get a reset and might lose the
        response.
        """
        if self.has_ended:
            return
        self.flow.resume_reading()
        self.phase, self.is_lingering = IDLE, True
        now = self.loop.time()
        self.deadline, self.unread_deadline = now + LINGER_SECONDS, now + self.limits.unread_seconds
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # --- The end ---

    def shutdown(self) -> None:
        """The process stops: the next response is this connection's last one, and says so.

        A connection that is idle at this moment is not closed at once, since its client may have sent a request that is
        still on its way and would be reset.
        """
        self.stopping = True
        for cycle in [self.cycle, *(waiting for waiting, _ in self.pipeline)]:
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False
        self._hurry()

    def close_if_idle(self) -> None:
        if self.phase == IDLE and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()


_last_lines: tuple[Any, bytes] = (None, b"")


def _lines(fields: list[tuple[bytes, bytes]]) -> bytes:
    """Header fields as they are sent. The same list as the last time is known by heart."""
    global _last_lines
    if _last_lines[0] is not fields:
        _last_lines = fields, b"".join([b"%s: %s\r\n" % field for field in fields])
    return _last_lines[1]


class _Exit:
    """The transport as a request's cycle sees it: it is closed without losing the response."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: FrontProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        if not self._protocol.has_ended:
            self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.has_ended

    def close(self) -> None:
        self._protocol.linger()


_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def expire_overdue(connections: set[Any], now: float) -> None:
    """End the connections that are over their deadline."""
    for connection in [one for one in connections if min(one.deadline, one.unread_deadline) < now]:
        connection.expire(now)
