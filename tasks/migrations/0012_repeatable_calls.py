import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

from tasks.queue import functions

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "1050704790911045"

# Each row is deleted after ten minutes.
AUTOVACUUM = """
ALTER TABLE tasks_repeatable SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0
)
"""


class Migration(migrations.Migration):
    """Keep what was answered to calls with an Idempotency-Key."""

    dependencies = [("tasks", "0011_figures_of_workers")]

    operations = [
        migrations.CreateModel(
            name="Repeatable",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "worker_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("worker_id", models.BigIntegerField()),
                ("key", models.CharField(db_collation="C", max_length=64)),
                ("request", models.BinaryField(help_text="the SHA-256 of method, address and body")),
                (
                    "answers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        help_text="the rows of each of its statements, as JSON",
                        size=None,
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="when the last of them was added",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["at"], name="repeatable_by_time")],
            },
        ),
        migrations.RunSQL(AUTOVACUUM, migrations.RunSQL.noop),
        migrations.RunPython(functions.install, migrations.RunPython.noop),
    ]
