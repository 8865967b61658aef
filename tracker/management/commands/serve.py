import contextlib
import hashlib
import http.client
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tracker.postgres.base import embedded_server, uses_embedded_server
from tracker.postgres.server import EmbeddedServerError
from tracker.serve import welcome
from tracker.serve.stopping import Stop
from tracker.serve.supervisor import Part, supervise

logger = logging.getLogger("tracker.serve")

START_SECONDS = 60
OLDEST_DATABASE = 15
# An arbitrary key that no other advisory lock in the database uses.
MIGRATION_LOCK = 7_310_301


class Command(BaseCommand):
    help = "Runs the tracker: the embedded database if it is used, migrations, the web server and the scheduler."
    # The checks take a fraction of a second; `make lint` and the tests run them.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (default: HOST, %(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="port; 0 picks a free one (default: PORT, %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = Stop()
        stop.on_signals([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])

        with _listen(options["host"], options["port"]) as listener:
            address, base = _address(listener), str(settings.BASE_DIR)
            _check_database_version()
            is_new = _prepare_database()
            if is_new and uses_embedded_server():
                welcome.create_sample_project()
            _collect_static_files()
            # This thread no longer needs the database.
            connection.close()

            # HOST is the default of ALLOWED_HOSTS: the web server must accept the address that it listens on.
            os.environ["HOST"] = options["host"]
            # Lets gunicorn import the project, whatever the current folder is.
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [base, os.environ.get("PYTHONPATH")]))
            parts = _parts(listener)
            for part in parts:
                part.start()
            greeting = threading.Thread(target=self._greet, args=(address, stop), daemon=True)
            greeting.start()
            supervise(parts, stop=stop, look_after=_look_after_database)
        self.stdout.write("Stopped.")

    def _greet(self, address: str, stop: Stop) -> None:
        """Print the greeting once the web server answers."""
        deadline = time.monotonic() + START_SECONDS
        while not stop.is_set() and time.monotonic() < deadline:
            if _answers(address):
                # Nobody may be reading it.
                with contextlib.suppress(OSError):
                    self.stdout.write(welcome.greeting(address))
                    self.stdout.flush()
                return
            time.sleep(0.05)


def _parts(listener: socket.socket) -> list[Part]:
    """The programs that run as child processes."""
    base = settings.BASE_DIR
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", str(base / "gunicorn.conf.py")]
    scheduler = [sys.executable, str(base / "manage.py"), "run_scheduler"]
    return [
        Part("web server", [*gunicorn, "--bind", f"fd://{listener.fileno()}"], pass_fds=[listener.fileno()]),
        Part("scheduler", scheduler),
    ]


def _answers(address: str) -> bool:
    """Whether the web server answers, with any status."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket. Opened first, so that a port in use is reported before anything is started."""
    if not 0 <= port <= 65535:
        raise CommandError(f"--port: must be a whole number from 0 to 65535, not {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
            on_failure.pop_all()
    except OSError as error:
        raise CommandError(
            f"Can't listen on {host}:{port} ({error.strerror}). Stop the program that uses it, or set PORT or HOST."
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    """The URL of the listener, as seen from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _check_database_version() -> None:
    connection.ensure_connection()
    version = connection.connection.server_version
    if version < OLDEST_DATABASE * 10000:
        found = version // 10000
        raise CommandError(f"PostgreSQL {OLDEST_DATABASE} or newer is required; the one at DATABASE_URL is {found}.")


def _prepare_database() -> bool:
    """Apply unapplied migrations. Returns whether the database was new."""
    # Two machines may start on the same database at once. A transaction on a separate connection holds the advisory
    # lock: behind a connection pooler, a session-level lock could stay with a session that another client uses.
    with contextlib.closing(connection.get_new_connection(connection.get_connection_params())) as guard:
        guard.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        executor = MigrationExecutor(connection)
        is_new = not executor.loader.applied_migrations
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
    return is_new


def _collect_static_files() -> None:
    """Collect the static files, unless they are unchanged since last time."""
    found = hashlib.sha256(settings.VERSION.encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            found.update(f"{path} {Path(storage.path(path)).stat().st_mtime_ns}".encode())
    stamp = settings.STATIC_ROOT / ".collected"
    if not stamp.exists() or stamp.read_text() != found.hexdigest():
        call_command("collectstatic", interactive=False, verbosity=0, clear=True)
        stamp.write_text(found.hexdigest())


def _look_after_database() -> None:
    if uses_embedded_server() and not embedded_server().is_running():
        logger.warning("The embedded database ended; starting it again.")
        try:
            embedded_server().attach()
        except EmbeddedServerError as error:
            logger.error("%s", error)
