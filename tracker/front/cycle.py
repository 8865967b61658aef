"""A worker's call on its connection: one request and its response, without an ASGI task."""

from http import HTTPStatus
from typing import Any

from tracker.api.envelope import HEADERS, Reply

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
# With what Django's middleware adds for others.
_HEAD = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()) + "X-Content-Type-Options: nosniff\r\n"
# What most replies begin with.
_USUAL_HEAD = f"{_STATUS_LINES[200]}{_HEAD}Content-Length: ".encode()


class _NoEvent:
    """uvicorn wakes the task of a cycle with its event; a call has no task."""

    def set(self) -> None:
        pass


class CallCycle:
    """Stands where uvicorn's protocol has the cycle of a request, with the attributes that it looks at.

    `found` is the call, as WorkerCalls.find returned it. `is_due` says that all earlier requests are answered.
    """

    __slots__ = (
        "body",
        "disconnected",
        "found",
        "is_due",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )

    message_event = _NoEvent()

    def __init__(self, found: Any, *, keep_alive: bool, is_due: bool) -> None:
        self.found = found
        self.keep_alive = keep_alive
        self.is_due = is_due
        self.body = bytearray()
        self.more_body = True
        self.disconnected = self.response_started = self.response_complete = False

    @property
    def can_start(self) -> bool:
        """Whether it has been received, it is its turn, and somebody waits for the answer."""
        return self.is_due and not self.more_body and not self.disconnected


def encoded(reply: Reply, fields: bytes, *, keep_alive: bool) -> bytes:
    """The reply as HTTP, with some more header fields."""
    if reply.status == 200 and not reply.headers and keep_alive:
        return b"%s%d\r\n%s\r\n%s" % (_USUAL_HEAD, len(reply.body), fields, reply.body)
    own = "".join([f"{name}: {value}\r\n" for name, value in reply.headers.items()])
    end = "" if keep_alive else "Connection: close\r\n"
    head = f"{_STATUS_LINES[reply.status]}{_HEAD}{own}{end}Content-Length: {len(reply.body)}\r\n"
    return b"%s%s\r\n%s" % (head.encode("latin-1"), fields, reply.body)
