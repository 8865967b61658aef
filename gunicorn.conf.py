"""gunicorn's settings. `manage.py serve` starts gunicorn with this file and passes it the listening socket."""

import os
import socket
from pathlib import Path

import orjson
from gunicorn import util

from tracker import env
from tracker.serve.supervisor import follow_supervisor

follow_supervisor()

wsgi_app = "tracker.asgi:application"
bind = f"{env.text('HOST') or '127.0.0.1'}:{env.whole_number('PORT', 3010, low=1, high=65535)}"

worker_class = "tracker.front.worker.FrontWorker"
# Each thread keeps a connection to the database: processes x threads connections per machine.
workers = env.whole_number("WEB_PROCESSES", min(8, max(2, os.cpu_count() or 1)), low=1)
backlog = 2048

# Django is loaded once and shared by the processes that are forked from it.
preload_app = True

# A stop takes at most 5 seconds; requests in flight are still answered.
graceful_timeout = 3
timeout = 60

# gunicorn's warnings are about malformed requests; anybody could fill the log with them.
loglevel = "error"
control_socket_disable = True
# gunicorn's workers update a file's times as their heartbeat, which could block on a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None


def write_error(client: socket.socket, status: int, reason: str, message: str) -> None:
    """Answer an invalid HTTP request with an envelope, like all responses."""
    body = orjson.dumps({"ok": False, "message": f"{reason}. {message}".strip()}, option=orjson.OPT_APPEND_NEWLINE)
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    util.write_nonblock(client, head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


# gunicorn has no setting for this; its workers call this function for all errors that they report themselves.
util.write_error = write_error
