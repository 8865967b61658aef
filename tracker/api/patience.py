"""Limits on how long a client may keep a thread waiting for its body.

gunicorn's threads wait for a body as long as the connection lasts; a few clients that send nothing would occupy them
all. A socket's own time-out starts anew with each byte, so a watcher ends the reading of those that are over time.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

from django.http import HttpRequest

LOOK_SECONDS = 0.5

# By the identity of the reading: when it has to be over, and the socket that it reads.
_readings: dict[int, tuple[float, socket.socket]] = {}
_watcher: threading.Thread | None = None
_starting = threading.Lock()


@contextlib.contextmanager
def limit(request: HttpRequest, *, seconds: float) -> Iterator[None]:
    """End what is read from the request's connection within the block when the time is over: it then looks as if the
    client had hung up. Without a connection of gunicorn's, as in tests, nothing is limited.
    """
    connection = request.META.get("gunicorn.socket")
    if connection is None:
        yield
        return
    _watch()
    # Distinct also for readings of one connection: the dictionary holds the pair, so its id is not given again.
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
    """In a forked child: the watcher is not there, and the readings are the parent's."""
    global _watcher
    _watcher = None
    _readings.clear()


os.register_at_fork(after_in_child=_forget)
