"""The supervisor: keeps the parts of a running tracker alive (web server, scheduler, embedded database)."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from tracker.serve.stopping import Stop

logger = logging.getLogger("tracker.supervisor")

POLL_SECONDS = 0.2
LOOK_SECONDS = 1.0
# The time limit for stopping the parts. Then the embedded database stops; all of it must take less than 5 seconds.
STOP_SECONDS = 4.0
# A part that ends sooner than this has failed to start, and is started again with exponential backoff.
HEALTHY_SECONDS = 5.0
LONGEST_PAUSE = 30.0

# The environment variable that gives a part its supervisor's process id.
SUPERVISOR = "TRACKER_SUPERVISOR"

_PR_SET_PDEATHSIG = 1


class Part:
    """A program that runs until it is stopped, and is started again when it dies."""

    def __init__(self, name: str, command: Sequence[str], *, pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self.command = list(command)
        self.pass_fds = tuple(pass_fds)
        self.process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._not_before = 0.0
        self._pause = 0.0

    def start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            pass_fds=self.pass_fds,
            stdin=subprocess.DEVNULL,
            # Ctrl-C in the terminal signals the whole foreground process group; the parts must hear from us, in order.
            start_new_session=True,
            env=os.environ | {SUPERVISOR: str(os.getpid())},
        )

    def revive(self) -> None:
        """Start it again if it has died, with backoff if it keeps dying."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if not self._not_before:
            lived = now - self._started
            self._pause = 0.0 if lived > HEALTHY_SECONDS else min(max(1.0, self._pause * 2), LONGEST_PAUSE)
            self._not_before = now + self._pause
            logger.warning("The %s ended (%s); starting it again.", self.name, _ending(self.process.returncode))
        if now >= self._not_before:
            self._not_before = 0.0
            self.start()

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until it has ended or the deadline has passed, then kill what is left of its process group."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("The %s did not stop in time; killing it.", self.name)
        # The whole process group: a web server that was killed leaves its workers behind.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def supervise(parts: Sequence[Part], *, stop: Stop | threading.Event, look_after: Callable[[], None]) -> None:
    """Keep the parts running until `stop` is set, then end them.

    `look_after` is called once a second in a separate thread: it may take long, for example during a database's
    recovery, and a stop doesn't wait for it.
    """

    def look() -> None:
        while not stop.wait(LOOK_SECONDS):
            try:
                look_after()
            except Exception:
                logger.exception("The periodic check failed; trying again.")

    threading.Thread(target=look, daemon=True).start()
    try:
        while not stop.wait(POLL_SECONDS):
            for part in parts:
                part.revive()
    finally:
        stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for part in parts:
            part.terminate()
        for part in parts:
            part.end(deadline)


def follow_supervisor() -> None:
    """In a part: have the kernel terminate this process if the supervisor is killed and can't do it itself.

    The parts call this after exec: between fork and exec, Python code is not safe if there are other threads.
    """
    if SUPERVISOR not in os.environ or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if is_orphaned():
        os.kill(os.getpid(), signal.SIGTERM)


def is_orphaned() -> bool:
    """Whether this is a part whose supervisor has died."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and os.getppid() != int(supervisor)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
