"""Time limits for receiving request bodies.

gunicorn's threads wait for a body as long as the connection is open, so a few clients that send nothing could occupy
all of them. A socket timeout restarts with each byte; instead, a watcher thread ends the reads that are overdue.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

from django.http import HttpRequest

LOOK_SECONDS = 0.5

# By the id() of the tuple: the deadline of a read, and its socket.
_readings: dict[int, tuple[float, socket.socket]] = {}
_watcher: threading.Thread | None = None
_starting = threading.Lock()


@contextlib.contextmanager
def limit(request: HttpRequest, *, seconds: float) -> Iterator[None]:
    """End reads from the request's connection within the block once the time is over, as if the client had closed it.

    Limits nothing if the connection is not gunicorn's, as in tests.
    """
    connection = request.META.get("gunicorn.socket")
    if connection is None:
        yield
        return
    _watch()
    # The id is unique even among reads of one connection: the dictionary keeps the tuple alive, so it is not reused.
    reading = (time.monotonic() + seconds, connection)
    _readings[id(reading)] = reading
    try:
        yield
    finally:
        del _readings[id(reading)]


def _watch() -> None:
    global _watcher
    if _watcher is None:
        with _starting:
            if _watcher is None:
                _watcher = threading.Thread(target=_end_overdue, name="body watcher", daemon=True)
                _watcher.start()


def _end_overdue() -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        for deadline, connection in list(_readings.values()):
            if now > deadline:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)


def _forget() -> None:
    """In a forked child: the watcher thread does not exist, and the reads are the parent's."""
    global _watcher
    _watcher = None
    _readings.clear()


os.register_at_fork(after_in_child=_forget)
