"""Loaded before the settings: gives the test run its own data folder, and so its own database server.

Each process of xdist has its folder within that of the first process.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tracker.postgres.server import EmbeddedServer

_SETTINGS = (
    *("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "TRUSTED_ORIGINS", "TRUSTED_PROXIES", "BEHIND_TLS", "CACHE_URL"),
    *("LOG_FILE", "LOG_KEEP_LEVELS", "LOG_KEEP_DAYS", "LOGS_PUBLIC", "WORKER_CREATE_RATE", "EMPTY_RETRY_AFTER"),
    *("LOGIN_RATE", "REGISTER_RATE", "REGISTRATION_OPEN"),
    *("HOST", "PORT", "MAX_BODY_BYTES", "MAX_BULK_BODY_BYTES"),
)

for name in _SETTINGS:
    os.environ.pop(name, None)

worker = os.environ.get("PYTEST_XDIST_WORKER")
if worker:
    folder = Path(os.environ["TRACKER_DATA_DIR"]) / worker
    folder.mkdir()
else:
    folder = Path(tempfile.mkdtemp(prefix="task-tracker-tests-"))
os.environ["TRACKER_DATA_DIR"] = str(folder)
(folder / "static").mkdir()
# The data does not outlive the run, so it need not reach the disk.
os.environ["EMBEDDED_POSTGRES_OPTIONS"] = "-c fsync=off -c full_page_writes=off -c autovacuum=off"


def clear_up() -> None:
    """Stop the servers of processes that xdist had to kill, then remove the folder."""
    for data in folder.glob("gw*/postgres"):
        server = EmbeddedServer(data)
        if server.is_running():
            server.attach()
            server.detach()
    shutil.rmtree(folder, ignore_errors=True)


if not worker:
    # Registered before the server's own exit handler, so it runs after that.
    atexit.register(clear_up)
