"""Helpers for tests that watch processes."""

import time
from collections.abc import Callable

import psutil

# Only bounds a hang: on a busy machine anything may take its time.
PATIENCE_SECONDS = 200


def gone(process: psutil.Process) -> bool:
    """Whether the process has ended. A zombie has: it remains if no process reaps orphans."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
