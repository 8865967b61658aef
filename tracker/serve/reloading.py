"""Starts the web server and the scheduler, and on a reload replaces them by those of a new version of the code.

The order is such that requests are answered all the time: prepare the new version, start its web server on the same
listening socket, wait until all its processes answer, and only then end the old one, which still answers what it has.
Whatever fails before that moment leaves the old version as it was.
"""

import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tracker.serve.stopping import Request
from tracker.serve.supervisor import Part, ending

logger = logging.getLogger("tracker.serve")

READY_SECONDS = 120


class NotStarted(Exception):
    """A version can't be started. `is_told` if the process that failed has said why."""

    def __init__(self, message: str, *, is_told: bool = False) -> None:
        super().__init__(message)
        self.is_told = is_told


class Reloader:
    """Keeps `parts`, the list that the supervisor looks after, to the newest version that works.

    `tend` is called again and again and never waits. It raises NotStarted if already the first version fails.
    """

    def __init__(
        self,
        parts: list[Part],
        *,
        base: Path,
        listener: int,
        request: Request,
        on_first: Callable[[], None],
        seconds: float,
    ) -> None:
        self._parts, self._base, self._listener = parts, base, listener
        self._request, self._on_first, self._seconds = request, on_first, seconds
        self._current: list[Part] = []
        self._change: Iterator[None] | None = self._replace()

    @property
    def has_started(self) -> bool:
        """Whether a version runs."""
        return bool(self._current)

    def tend(self) -> None:
        """Begin a reload that was asked for, or go on with one."""
        for part in [one for one in self._parts if one.is_over()]:
            self._parts.remove(part)
        if self._change is None and self._request.is_set():
            self._request.clear()
            logger.info("Reloading.")
            self._change = self._replace()
        if self._change is not None:
            try:
                next(self._change)
            except StopIteration:
                self._change = None
            except NotStarted as error:
                if not self.has_started:
                    raise
                logger.error("The reload failed, and the running version goes on: %s", error)
                self._change = None

    def _replace(self) -> Iterator[None]:
        """Each `yield` is a pause."""
        yield from self._prepare()
        web = self._web_server()
        self._parts.append(web)
        web.start()
        try:
            yield from self._wait_until_ready(web)
        except NotStarted:
            web.retire(0)
            raise
        scheduler = self._scheduler()
        self._parts.append(scheduler)
        scheduler.start()
        old, self._current = self._current, [web, scheduler]
        if not old:
            self._on_first()
            return
        for part in old:
            part.retire(self._seconds)
        # `tend` removes those that have ended.
        while any(part in self._parts for part in old):
            yield
        logger.info("Reloaded.")

    def _prepare(self) -> Iterator[None]:
        """Have the new code check its settings and prepare the database and the static files."""
        with contextlib.ExitStack() as stack:
            # At the start, the operator sees all of what it says; at a reload, the last line is for the log.
            errors = stack.enter_context(tempfile.TemporaryFile()) if self.has_started else None
            command = self._manage("prepare", *(["--check-code"] if self.has_started else []))
            preparation = Part("preparation", command, once=True, errors=errors)
            self._parts.append(preparation)
            preparation.start()
            while (code := preparation.exit_code) is None:
                yield
            if code:
                message = _last_line(errors) or f"the preparation ended ({ending(code)})."
                raise NotStarted(message, is_told=errors is None and code > 0)

    def _wait_until_ready(self, web: Part) -> Iterator[None]:
        deadline = time.monotonic() + READY_SECONDS
        while not web.is_ready():
            if (code := web.exit_code) is not None:
                raise NotStarted(f"the web server ended ({ending(code)}) before it answered.")
            if time.monotonic() > deadline:
                raise NotStarted(f"the web server did not answer within {READY_SECONDS} seconds.")
            yield

    def _web_server(self) -> Part:
        # -P, lest Python import the modules of another version from the current folder; see serve for PYTHONPATH.
        command = [sys.executable, "-P", "-m", "gunicorn", "-c", str(self._base / "gunicorn.conf.py")]
        return Part("web server", [*command, "--bind", f"fd://{self._listener}"], pass_fds=[self._listener])

    def _scheduler(self) -> Part:
        return Part("scheduler", self._manage("run_scheduler"))

    def _manage(self, *arguments: str) -> list[str]:
        return [sys.executable, str(self._base / "manage.py"), *arguments]


def _last_line(file: IO[bytes] | None) -> str:
    if file is None:
        return ""
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
