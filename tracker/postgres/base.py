"""Django's PostgreSQL backend, attaching to the embedded server before the first connection of a process."""

import functools
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from django.db.utils import OperationalError
from psycopg2 import OperationalError as DriverError

from tracker.postgres.server import EmbeddedServer


@functools.cache
def embedded_server() -> EmbeddedServer:
    """This process's handle of the server that the settings describe."""
    return EmbeddedServer(settings.EMBEDDED_POSTGRES_FOLDER, options=settings.EMBEDDED_POSTGRES_OPTIONS)


def uses_embedded_server() -> bool:
    """Whether the settings choose the embedded server rather than DATABASE_URL."""
    return bool(settings.DATABASES["default"]["ENGINE"] == "tracker.postgres")


class DatabaseWrapper(base.DatabaseWrapper):
    """Starts the embedded server if it isn't running, even if it has died while this process was attached."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not embedded_server().is_attached:
            embedded_server().attach()
        try:
            return super().get_new_connection(conn_params)
        except (OperationalError, DriverError) as error:
            # A server that is there but accepts no connections can't be started, and whoever asks has waited enough.
            if "does not exist" in str(error) or "timeout expired" in str(error):
                raise
            embedded_server().attach()
            return super().get_new_connection(conn_params)
