"""The supervisor: keeps the parts of a running tracker alive (web server, scheduler, embedded database)."""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

from tracker.serve.stopping import Stop

logger = logging.getLogger("tracker.supervisor")

POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
# How long the processes that a part leaves behind may take to end.
LEFT_OVER_SECONDS = 0.5
# A part that ends sooner than this has failed to start, and is started again with exponential backoff.
HEALTHY_SECONDS = 5.0
LONGEST_PAUSE = 30.0

# The environment variables that give a part its supervisor's process id, and the pipe in which it says that it works.
SUPERVISOR = "TRACKER_SUPERVISOR"
READINESS = "TRACKER_READINESS"

_PR_SET_PDEATHSIG = 1


class Part:
    """A program that runs until it is stopped, and is started again when it dies.

    `once` is for one that does its work and ends. `errors` is a file for its standard error output.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        once: bool = False,
        errors: IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.pass_fds = tuple(pass_fds)
        self.process: subprocess.Popen[bytes] | None = None
        self.once = once
        self._errors = errors
        self._started = 0.0
        self._not_before = 0.0
        self._pause = 0.0
        # Set for a part that has been asked to end: when it is killed.
        self._end_at: float | None = None
        self._ready_reader, self._ready_writer = os.pipe()
        os.set_blocking(self._ready_reader, False)
        os.set_blocking(self._ready_writer, False)
        self._ready = b""

    def start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            pass_fds=(*self.pass_fds, self._ready_writer),
            stdin=subprocess.DEVNULL,
            stderr=self._errors,
            # Ctrl-C in the terminal signals the whole foreground process group; the parts must hear from us, in order.
            start_new_session=True,
            env=os.environ | {SUPERVISOR: str(os.getpid()), READINESS: str(self._ready_writer)},
        )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before it was started."""
        return None if self.process is None else self.process.poll()

    def revive(self) -> None:
        """Start it again if it has died, with backoff if it keeps dying."""
        if self.process is None or self.once or self._end_at is not None or self.process.poll() is None:
            return
        now = time.monotonic()
        if not self._not_before:
            lived = now - self._started
            self._pause = 0.0 if lived > HEALTHY_SECONDS else min(max(1.0, self._pause * 2), LONGEST_PAUSE)
            self._not_before = now + self._pause
            logger.warning("The %s ended (%s); starting it again.", self.name, ending(self.process.returncode))
        if now >= self._not_before:
            self._not_before = 0.0
            self.start()

    def is_ready(self) -> bool:
        """Whether all its processes have reported that they work, see `report_ready`."""
        with contextlib.suppress(BlockingIOError):
            self._ready += os.read(self._ready_reader, 65536)
        reports = self._ready.split(b"\n")[:-1]
        return bool(reports) and len(reports) >= int(reports[0])

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            if self.once:
                # It doesn't pass the signal on to the programs that it runs.
                self._signal_all(signal.SIGTERM)

    def retire(self, seconds: float) -> None:
        """Ask it to end within so many seconds, for good."""
        self._end_at = time.monotonic() + seconds
        self.terminate()

    def is_over(self) -> bool:
        """Whether a part that was retired, or has done its work once, has ended. Kills one that takes too long."""
        if self.process is None or (self._end_at is None and not self.once):
            return False
        if self.process.poll() is None and (self._end_at is None or time.monotonic() < self._end_at):
            return False
        self.end(time.monotonic())
        return True

    def end(self, deadline: float) -> None:
        """Wait until it has ended or the deadline has passed, then kill what is left of its process group."""
        if self.process is not None:
            try:
                self.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("The %s did not stop in time; killing it.", self.name)
            else:
                self._wait_for_left_overs(deadline)
            # The whole process group: a web server that was killed leaves its workers behind.
            self._signal_all(signal.SIGKILL)
            self.process.wait()
        if self._ready_reader >= 0:
            os.close(self._ready_reader)
            os.close(self._ready_writer)
            self._ready_reader = self._ready_writer = -1

    def _wait_for_left_overs(self, deadline: float) -> None:
        """Programs that it ran may still be clearing up."""
        deadline = min(deadline, time.monotonic() + LEFT_OVER_SECONDS)
        while self.once and self._signal_all(0) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _signal_all(self, number: int) -> bool:
        """Signal its process group. Returns whether there is still anybody in it."""
        if self.process is None:
            return False
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True


def supervise(
    parts: list[Part],
    *,
    stop: Stop | threading.Event,
    look_after: Callable[[], None],
    seconds: float,
    tend: Callable[[], None] | None = None,
    close: Callable[[], None] | None = None,
) -> None:
    """Keep the parts running until `stop` is set, then end them, within `seconds`.

    `look_after` is called once a second in a separate thread: it may take long, for example during a database's
    recovery, and a stop doesn't wait for it. `tend` is called ten times a second, may change `parts`, and must not
    wait. `close` is called before the parts are ended.
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
            # First, since it gives up a part that ended before it worked.
            if tend is not None:
                tend()
            for part in parts:
                part.revive()
    finally:
        stop.set()
        deadline = time.monotonic() + seconds
        if close is not None:
            close()
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


def report_ready(processes: int) -> None:
    """In one of the `processes` of a part: tell the supervisor that this one works."""
    if READINESS in os.environ:
        # The supervisor may have ended; and of a process that replaces another it has not read the report.
        with contextlib.suppress(OSError):
            os.write(int(os.environ[READINESS]), b"%d\n" % processes)


def is_orphaned() -> bool:
    """Whether this is a part whose supervisor has died."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and os.getppid() != int(supervisor)


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
