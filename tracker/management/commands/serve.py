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
from tracker.serve.supervisor import Part, supervise

logger = logging.getLogger("tracker.serve")

START_SECONDS = 60
OLDEST_DATABASE = 15
# Any number will do that nothing else in the database locks.
MIGRATION_LOCK = 7_310_301


class Command(BaseCommand):
    help = "Runs the tracker: the database if it is the embedded one, migrations, the web server and the scheduler."
    # The checks take a part of a second; `make lint` and the tests run them.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (default: HOST, %(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="port, 0 for any free one (default: PORT, %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: stop.set())

        with _listen(options["host"], options["port"]) as listener:
            address, base = _address(listener), str(settings.BASE_DIR)
            _check_database_version()
            is_new = _prepare_database()
            if is_new and uses_embedded_server():
                welcome.create_sample_project()
            _collect_static_files()
            # From here on only the parts need the database.
            connection.close()

            # The web server's settings allow requests to the address that it listens on.
            os.environ["HOST"] = options["host"]
            # So that gunicorn finds the project from whatever folder this was started in.
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [base, os.environ.get("PYTHONPATH")]))
            parts = _parts(listener)
            for part in parts:
                part.start()
            greeting = threading.Thread(target=self._greet, args=(address, stop), daemon=True)
            greeting.start()
            supervise(parts, stop=stop, look_after=_look_after_database)
        self.stdout.write("Stopped.")

    def _greet(self, address: str, stop: threading.Event) -> None:
        """Print where it listens and what to do next, once it answers."""
        deadline = time.monotonic() + START_SECONDS
        while not stop.is_set() and time.monotonic() < deadline:
            if _answers(address):
                self.stdout.write(welcome.greeting(address))
                self.stdout.flush()
                return
            time.sleep(0.05)


def _parts(listener: socket.socket) -> list[Part]:
    """What runs beside this process."""
    base = settings.BASE_DIR
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", str(base / "gunicorn.conf.py")]
    scheduler = [sys.executable, str(base / "manage.py"), "run_scheduler"]
    return [
        Part("web server", [*gunicorn, "--bind", f"fd://{listener.fileno()}"], pass_fds=[listener.fileno()]),
        Part("scheduler", scheduler),
    ]


def _answers(address: str) -> bool:
    """Whether the web server answers, whatever it says."""
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
    """The listening socket. Made first, so that a port that is taken is told before anything is started."""
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
            f"Can't listen on {host}:{port} ({error.strerror}). Stop the program that does, or set PORT or HOST."
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    """The address to reach the listener at from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _check_database_version() -> None:
    connection.ensure_connection()
    version = connection.connection.server_version
    if version < OLDEST_DATABASE * 10000:
        found = version // 10000
        raise CommandError(f"PostgreSQL {OLDEST_DATABASE} or newer is needed; DATABASE_URL leads to {found}.")


def _prepare_database() -> bool:
    """Apply the migrations that are missing. Returns whether the database was new."""
    # Two machines may start on one database at the same moment. The lock belongs to a transaction, on a connection of
    # its own: behind a pooler, a session's lock could be left with another session.
    with contextlib.closing(connection.get_new_connection(connection.get_connection_params())) as guard:
        guard.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        executor = MigrationExecutor(connection)
        is_new = not executor.loader.applied_migrations
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
    return is_new


def _collect_static_files() -> None:
    """Collect the static files, unless they are the same as last time."""
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
