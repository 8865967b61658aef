"""A separate tracker for benchmarks: `manage.py serve` as in production, with its database, in a folder."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from tracker.postgres.server import DATABASE, USER, EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent

START_SECONDS = 60
STOP_SECONDS = 30

_KEPT_ENVIRONMENT = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
_KEPT_ENVIRONMENT |= {"WEB_PROCESSES", "WEB_THREADS"}


class BenchmarkError(Exception):
    """The measurement can't continue, and its results so far are invalid."""


class Tracker:
    """A server on a free port with an empty database."""

    def __init__(self, folder: Path) -> None:
        self.database = EmbeddedServer(folder / "postgres")
        self.host, self.port = "", 0
        #: What `serve` prints.
        self.output = folder / "serve.out"
        # No setting of another tracker in the environment may reach this one.
        self.env = {name: value for name, value in os.environ.items() if name in _KEPT_ENVIRONMENT}
        self.env |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TRACKER_DATA_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "tracker.settings",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None

    @property
    def pid(self) -> int:
        """The process id of `serve`."""
        if self._process is None:
            raise BenchmarkError("The tracker has not been started.")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether `serve` runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, on the same port if it ran before, and wait until it answers. Raises BenchmarkError."""
        Path(self.env["TRACKER_DATA_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            printed_before = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "serve", "--host", "127.0.0.1", "--port", str(self.port)],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal must reach only this process, which then stops the server.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while " listens on " not in (printed := self.output.read_bytes()[printed_before:].decode(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"The tracker did not start:\n{printed}")
            time.sleep(0.05)
        address = urlsplit(printed.split(" listens on ")[1].split(" ")[0])
        self.host, self.port = str(address.hostname), int(address.port or 0)

    def stop(self) -> None:
        """Stop it and its database; returns when both are gone."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        # The database's last checkpoint may take longer than `serve` waits, and nobody needs it.
        postmaster = self.database.postmaster_pid()
        if postmaster is not None and self.database.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster, signal.SIGQUIT)
        while self._process is not None and self.database.is_running():
            time.sleep(0.05)
        # It is not in the folder if the folder's path is too long for a socket.
        shutil.rmtree(self.database.socket_folder, ignore_errors=True)

    def connect(self) -> Any:
        """A new connection to its database, in autocommit mode."""
        connection = psycopg2.connect(host=str(self.database.socket_folder), user=USER, dbname=DATABASE)
        connection.autocommit = True
        return connection

    def sql(self, statement: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows, if it has any."""
        if self._connection is None:
            self._connection = self.connect()
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def python(self, code: str) -> str:
        """Run Python code with the tracker's settings in a separate process. Returns its output."""
        return run([sys.executable, "-c", f"import django; django.setup()\n{code}"], env=self.env)


def run(command: list[str], *, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """Run a program and return its output. Kills it if interrupted. Raises BenchmarkError if it fails."""
    with started(command, stdin=stdin, env=env) as process:
        return finish(process)


@contextlib.contextmanager
def started(
    command: list[str], *, stdin: str = "", env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs in the background and is killed at the end of the block."""
    with subprocess.Popen(
        command, env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdin is not None:
                process.stdin.write(stdin)
                process.stdin.close()
                process.stdin = None
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a program to end and return its output. Raises BenchmarkError if it failed."""
    output, errors = process.communicate()
    if process.returncode:
        raise BenchmarkError(errors.strip() or f"{process.args!r} exited with {process.returncode}.")
    return output
