"""Requests that signal handlers can make, and the time that a stop may take."""

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType

# How STOP_SECONDS is used up, at most. At the first moment a web process closes connections on which nothing is under
# way; at the second it refuses requests that are not complete and gives up those that are not answered; at the third
# the parts that have not ended are killed. What is left is the embedded database's.
IDLE_UNTIL = 0.4
ANSWERS_UNTIL = 0.6
PARTS_UNTIL = 0.7


class Request:
    """Like threading.Event, but may be set by a signal handler.

    Event.set() takes a lock. A handler runs in the main thread, between two of its bytecodes, perhaps while that very
    thread holds the lock in wait() or set(): it would wait for itself for ever. Writing to a pipe takes no lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        # With a full pipe, it is set all the more.
        os.set_blocking(self._writer, False)
        os.set_blocking(self._reader, False)

    def set(self) -> None:
        """Ask, however often."""
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            pass

    def clear(self) -> None:
        """Take note: it is not set any more, until somebody asks again."""
        try:
            while os.read(self._reader, 65536):
                pass
        except BlockingIOError:
            pass

    def is_set(self) -> bool:
        """Whether somebody has asked."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until somebody asks, for at most `timeout` seconds. Returns whether somebody has."""
        return bool(select.select([self._reader], [], [], timeout)[0])

    def on_signals(self, numbers: Iterable[int]) -> None:
        """Set it when one of these signals comes."""
        for number in numbers:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.set()


class Stop(Request):
    """A request to stop."""
