"""Loaded before the settings: gives the run a data folder, and with it a database server, of its own."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_SETTINGS = (
    *("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "TRUSTED_ORIGINS", "TRUSTED_PROXIES", "BEHIND_TLS", "CACHE_URL"),
    *("LOG_FILE", "LOG_KEEP_LEVELS", "LOG_KEEP_DAYS", "LOGS_PUBLIC", "WORKER_CREATE_RATE", "EMPTY_RETRY_AFTER"),
    *("LOGIN_RATE", "REGISTER_RATE", "REGISTRATION_OPEN"),
    *("HOST", "PORT", "MAX_BODY_BYTES", "MAX_BULK_BODY_BYTES"),
)

for name in _SETTINGS:
    os.environ.pop(name, None)

folder = tempfile.mkdtemp(prefix="task-tracker-tests-")
os.environ["TRACKER_DATA_DIR"] = folder
(Path(folder) / "static").mkdir()
# Nothing in it outlives the run, so it need not reach the disk.
os.environ["EMBEDDED_POSTGRES_OPTIONS"] = "-c fsync=off -c full_page_writes=off -c autovacuum=off"
# Registered before the server's own farewell, so it runs after it.
atexit.register(shutil.rmtree, folder, ignore_errors=True)
