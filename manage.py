#!/usr/bin/env python
"""Django's command line. Starts the embedded PostgreSQL when a command needs it and DATABASE_URL is not set."""

import os
import signal
import sys


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        # It asks a running tracker to reload. One that is only just starting has no handler yet and would end.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")
    try:
        from django.core.management import execute_from_command_line

        from tracker import console
    except ImportError:
        sys.exit("Django is not installed in this Python. `make run` sets it up; then use .venv/bin/python manage.py.")
    except KeyboardInterrupt:
        return 130

    return console.run(lambda: execute_from_command_line(sys.argv))


if __name__ == "__main__":
    sys.exit(main())
