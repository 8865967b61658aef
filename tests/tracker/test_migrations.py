"""The migrations of our apps."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

from tasks.queue import functions
from tracker import db

OUR_APPS = [
    app.label
    for app in apps.get_app_configs()
    if (settings.BASE_DIR / app.label) == Path(app.path) and list(app.get_models())
]

# In its own database, migrates each app to zero, and each of its migrations forward, back and forward again. Prints the
# differences in the schema.
THERE_AND_BACK = """
import json, subprocess, sys
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from tracker.postgres.server import EmbeddedServer, USER, DATABASE, binaries

def schema(*options):
    socket = str(EmbeddedServer(settings.EMBEDDED_POSTGRES_FOLDER).socket_folder)
    dump = [str(binaries() / "pg_dump"), "--schema-only", *options, "-h", socket, "-U", USER, DATABASE]
    lines = subprocess.run(dump, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return sorted(line for line in lines if line and line[:2] not in ("--", chr(92) + "r", chr(92) + "u"))

def migrate(*target):
    call_command("migrate", *target, verbosity=0)

def difference(before, after):
    return sorted(set(before) ^ set(after))

migrate()
whole, left, changed = schema(), {}, {}
for app in sys.argv[1:]:
    steps = sorted(name for label, name in MigrationLoader(None).disk_migrations if label == app)
    migrate(app, "zero")
    left[app] = [table for table in connection.introspection.table_names() if table.startswith(f"{app}_")]
    for step, next_step in zip(steps, steps[1:]):
        migrate(app, step)
        before = schema("-t", f"{app}_*")
        migrate(app, next_step)
        migrate(app, step)
        changed[f"{app} {next_step}"] = difference(before, schema("-t", f"{app}_*"))
    migrate()
    changed[app] = difference(whole, schema())
print(json.dumps([len(whole), left, changed]))
"""


def test_our_apps_are_known():
    assert set(OUR_APPS) >= {"tracker", "accounts", "projects", "workers", "tasks", "logs"}


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_all_migrations_are_applied():
    call_command("migrate", check_unapplied=True, verbosity=0)


@pytest.mark.parametrize("app", OUR_APPS)
def test_each_migration_is_reversible(app):
    migrations = [migration for key, migration in MigrationLoader(None).disk_migrations.items() if key[0] == app]
    assert migrations
    for migration in migrations:
        assert all(operation.reversible for operation in migration.operations)


@pytest.mark.parametrize("app", OUR_APPS)
def test_there_is_one_leaf_migration(app):
    assert len(MigrationLoader(None).graph.leaf_nodes(app)) == 1


def test_every_app_migrates_to_zero_and_forward_again(tmp_path):
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CACHE_URL")}
    result = subprocess.run(
        [sys.executable, "-c", THERE_AND_BACK, *OUR_APPS],
        env=kept | {"TRACKER_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tracker.settings"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines_of_schema, left, changed = json.loads(result.stdout)
    assert lines_of_schema > 100
    assert left == {app: [] for app in OUR_APPS}
    assert {name: lines for name, lines in changed.items() if lines} == {}
    assert set(changed) > set(OUR_APPS)


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["tasks_task", "tasks_closedentry"])
def test_queue_is_vacuumed_early(table):
    (options,) = db.one("SELECT reloptions FROM pg_class WHERE relname = %(table)s", {"table": table})
    assert set(options) == {
        "autovacuum_vacuum_threshold=2000",
        "autovacuum_vacuum_scale_factor=0.01",
        "autovacuum_vacuum_cost_delay=0",
        "autovacuum_analyze_threshold=2000",
        "autovacuum_analyze_scale_factor=0.05",
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    "index",
    [
        *("task_fresh", "task_voted", "task_voters", "task_leased", "task_held", "task_failed"),
        *("task_hash_unique", "closedtask_by_time"),
    ],
)
def test_index_of_the_queue_exists_and_is_valid(index):
    found = db.one(
        "SELECT indisvalid, indpred IS NOT NULL FROM pg_index WHERE indexrelid = %(index)s::regclass", {"index": index}
    )
    assert found == (True, index != "closedtask_by_time")


def test_last_migration_installs_the_current_queue_functions():
    """A change of the functions needs a migration; otherwise existing databases keep the old ones."""
    names = sorted(name for label, name in MigrationLoader(None).disk_migrations if label == "tasks")
    digests = [getattr(import_module(f"tasks.migrations.{name}"), "DIGEST", None) for name in names]
    assert [digest for digest in digests if digest][-1] == functions.DIGEST
