"""A request to stop that signal handlers can make."""

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType


class Stop:
    """Like threading.Event, but may be set by a signal handler.

    Event.set() takes a lock. A handler runs in the main thread, between two of its bytecodes, perhaps while that very
    thread holds the lock in wait() or set(): it would wait for itself for ever. Writing to a pipe takes no lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        # With a full pipe, it is set all the more.
        os.set_blocking(self._writer, False)

    def set(self) -> None:
        """Ask to stop, however often."""
        try:
            os.write(self._writer, b"!")
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
