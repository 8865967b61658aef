import contextlib
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from gunicorn.util import getcwd

from tracker.postgres.base import embedded_server, uses_embedded_server
from tracker.postgres.server import EmbeddedServerError
from tracker.serve import listening, welcome
from tracker.serve.reloading import NotStarted, Reloader
from tracker.serve.stopping import PARTS_UNTIL, Request, Stop
from tracker.serve.supervisor import Part, supervise

logger = logging.getLogger("tracker.serve")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Of the time for a stop, what new connections may take.
CLOSE_UNTIL = 0.1


class Command(BaseCommand):
    help = (
        "Runs the tracker: the embedded database if it is used, migrations, the web server and the scheduler. SIGTERM, "
        "SIGINT and SIGHUP stop it; SIGUSR2 replaces the web server and the scheduler by those of the present code."
    )
    # The checks take a fraction of a second; `make lint` and the tests run them.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (default: HOST, %(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="port; 0 picks a free one (default: PORT, %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop, reload = Stop(), Request()
        stop.on_signals(STOP_SIGNALS)
        # Not SIGHUP, which a terminal sends when it is closed: what was started in it must end then.
        reload.on_signals([signal.SIGUSR2])
        if not 0 <= options["port"] <= 65535:
            raise CommandError(f"--port: must be a whole number from 0 to 65535, not {options['port']}.")
        try:
            listener = listening.listen(options["host"], options["port"])
        except listening.CanNotListen as error:
            raise CommandError(str(error)) from error
        with listener:
            self._run(listener, options["host"], stop, reload)
        with contextlib.suppress(OSError):
            # Whoever read it may have gone.
            self.stdout.write("Stopped.")
            self.stdout.flush()
        # From here on Python would undo the handlers, and a further signal would end this process with an error.
        for number in (*STOP_SIGNALS, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def _run(self, listener: Any, host: str, stop: Stop, reload: Request) -> None:
        base = settings.BASE_DIR
        # HOST is the default of ALLOWED_HOSTS: the web server must accept the address that it listens on.
        os.environ["HOST"] = host
        # Lets gunicorn import the project, whatever the current folder is. It puts that before all other folders unless
        # it is among them: there might be another version of the project.
        path = [str(base), os.environ.get("PYTHONPATH"), getcwd()]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        if uses_embedded_server():
            # The parts start it; as long as we are its user, it stays.
            embedded_server().register()
        seconds = settings.STOP_SECONDS
        stopped_at = []

        def close() -> None:
            stopped_at.append(time.monotonic())
            listening.close_to_new_connections(listener, seconds=seconds * CLOSE_UNTIL)

        parts: list[Part] = []
        reloader = Reloader(
            parts,
            base=base,
            listener=listener.fileno(),
            request=reload,
            on_first=lambda: self._greet(listening.address(listener)),
            seconds=seconds * PARTS_UNTIL,
        )
        try:
            supervise(
                parts,
                stop=stop,
                look_after=lambda: _look_after_database() if reloader.has_started else None,
                tend=reloader.tend,
                close=close,
                seconds=seconds * PARTS_UNTIL,
            )
        except NotStarted as error:
            if error.is_told:
                sys.exit(1)
            raise CommandError(f"The tracker did not start: {error}") from error
        finally:
            if uses_embedded_server():
                # At least so long that it is asked to stop.
                embedded_server().detach(max(1.0, stopped_at[0] + seconds - time.monotonic()))

    def _greet(self, address: str) -> None:
        """Print the greeting; in a thread, since it asks the database."""

        def greet() -> None:
            with contextlib.suppress(OSError):
                self.stdout.write(welcome.greeting(address))
                self.stdout.flush()
            connection.close()

        threading.Thread(target=greet, daemon=True).start()


def _look_after_database() -> None:
    if uses_embedded_server() and not embedded_server().is_running():
        logger.warning("The embedded database ended; starting it again.")
        try:
            embedded_server().attach()
        except EmbeddedServerError as error:
            logger.error("%s", error)
