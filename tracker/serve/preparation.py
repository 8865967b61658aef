"""What has to be done before a version of the tracker can run: migrations, a sample project, static files.

Any number of trackers may do it at the same time, on one database or in one data folder, and while others run.
"""

import contextlib
import fcntl
import hashlib
import runpy
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

OLDEST_DATABASE = 15
# An arbitrary key that no other advisory lock in the database uses.
MIGRATION_LOCK = 7_310_301
# How long a page from before may still ask for the static files of its version.
KEEP_SECONDS = 7 * 24 * 3600
_STAMP = ".collected"


class NotPrepared(Exception):
    """This version can't run here."""


def load_code() -> None:
    """Import what the web processes and the scheduler will run, so that a mistake in it shows before they start."""
    from tracker.serve import scheduler

    # WhiteNoise warns about a folder that is missing, as it is before the first start.
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    gunicorn = runpy.run_path(str(settings.BASE_DIR / "gunicorn.conf.py"))
    import_string(gunicorn["worker_class"])
    import_string(gunicorn["wsgi_app"].replace(":", "."))
    import_string(settings.ROOT_URLCONF + ".urlpatterns")
    for job in scheduler.JOBS:
        import_string(job.path)


def check_database_version() -> None:
    connection.ensure_connection()
    version = connection.connection.server_version
    if version < OLDEST_DATABASE * 10000:
        found = version // 10000
        raise NotPrepared(f"PostgreSQL {OLDEST_DATABASE} or newer is required; the one at DATABASE_URL is {found}.")


def migrate() -> bool:
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


def collect_static_files() -> None:
    """Collect the static files, unless they are unchanged since last time.

    Running web processes of this or another version go on serving theirs: files are replaced one by one, each at once,
    and those of former versions stay for a week.
    """
    folder = Path(settings.STATIC_ROOT)
    with _locked(folder.with_name(f"{folder.name}.lock")):
        digest = _digest()
        stamp = folder / _STAMP
        if stamp.exists() and stamp.read_text() == digest:
            return
        collected = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(collected, ignore_errors=True)
        command = collectstatic.Command()
        storage = import_string(settings.STORAGES["staticfiles"]["BACKEND"])
        command.storage = storage(location=str(collected), base_url=settings.STATIC_URL)
        call_command(command, interactive=False, verbosity=0)
        (collected / _STAMP).write_text(digest)
        _move_over(collected, folder)
        shutil.rmtree(collected)


def _digest() -> str:
    """Changes whenever a static file does."""
    found = hashlib.sha256(settings.VERSION.encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            found.update(f"{path} {Path(storage.path(path)).stat().st_mtime_ns}".encode())
    return found.hexdigest()


def _move_over(source: Path, target: Path) -> None:
    """Move the files of one folder over those of the other, and remove from that what is neither new nor recent."""
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    # The manifest and the stamp, which say that all others are there, come last.
    last = ("staticfiles.json", _STAMP)
    for path in sorted(files, key=lambda path: last.index(str(path)) if str(path) in last else -1):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).replace(target / path)
    kept = set(files)
    for path in target.rglob("*"):
        if (
            path.is_file()
            and path.relative_to(target) not in kept
            and time.time() - path.stat().st_mtime > KEEP_SECONDS
        ):
            path.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel releases when this process ends, however it does."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
