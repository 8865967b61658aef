"""gunicorn's settings. `manage.py serve` starts gunicorn with this file and passes it the listening socket."""

import math
import os
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")

from django.conf import settings

from tracker.serve.listening import BACKLOG
from tracker.serve.stopping import PARTS_UNTIL
from tracker.serve.supervisor import follow_supervisor

follow_supervisor()

wsgi_app = "tracker.asgi:application"
bind = f"{settings.HOST}:{settings.PORT}"

worker_class = "tracker.front.worker.FrontWorker"
# Each keeps up to WEB_DATABASE_CONNECTIONS connections to the database for its event loop, and one for each of its
# WEB_THREADS that has answered a request.
workers = settings.WEB_PROCESSES
backlog = BACKLOG

# Django is loaded once and shared by the processes that are forked from it.
preload_app = True

# Web processes end by themselves before that, see tracker.serve.stopping; one that doesn't is killed.
graceful_timeout = math.ceil(settings.STOP_SECONDS * PARTS_UNTIL)
timeout = 60

# gunicorn's warnings are about malformed requests; anybody could fill the log with them.
loglevel = "error"
control_socket_disable = True
# gunicorn's workers update a file's times as their heartbeat, which could block on a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
