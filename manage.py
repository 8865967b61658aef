#!/usr/bin/env python
"""Django's command line. Starts the embedded PostgreSQL when a command needs it and DATABASE_URL is not set."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed in this Python. `make run` sets it up; then use .venv/bin/python manage.py.")

    from django.db import OperationalError

    from tracker.postgres.server import EmbeddedServerError

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EmbeddedServerError) as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"The database does not answer: {error}".strip())


if __name__ == "__main__":
    main()
