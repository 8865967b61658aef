import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models

from tasks.queue import functions

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "b38a1a844c182db5"

# Rows are deleted from these tables as fast as they are added.
AUTOVACUUM = """
ALTER TABLE tasks_outcomeentry SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
)
"""


class Migration(migrations.Migration):
    """Keep what became of each lease: attempts, outputs, tallies and groups of failures."""

    dependencies = [
        ("projects", "0008_max_expiries"),
        ("tasks", "0009_bounded_leases"),
        ("workers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task_id", models.BigIntegerField()),
                ("lease", models.UUIDField(help_text="opaque id of the lease")),
                ("began", models.DateTimeField()),
                ("ended", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "outcome",
                    models.SmallIntegerField(
                        choices=[
                            (0, "Closed"),
                            (1, "Failed"),
                            (2, "Skipped"),
                            (3, "Voted"),
                            (4, "Expired"),
                            (5, "reclaimed by a manager"),
                            (6, "cancelled: the task was deleted"),
                            (7, "voted with the majority"),
                            (8, "voted against the majority"),
                        ]
                    ),
                ),
                (
                    "reason",
                    models.SmallIntegerField(
                        choices=[(1, "Error"), (2, "Bad Recipe"), (3, "Shutdown"), (4, "Busy"), (5, "Not For Me")],
                        help_text="of a FAIL or SKIP",
                        null=True,
                    ),
                ),
                ("message", models.TextField(help_text="what the worker said", null=True)),
                ("output", models.TextField(help_text="what the worker sent, as JSON", null=True)),
                ("seconds", models.FloatField(help_text="how long it took by the worker's own count", null=True)),
                ("version", models.CharField(help_text="the project's version when the lease ended", max_length=200)),
                (
                    "fingerprint",
                    models.BigIntegerField(help_text="what failed attempts of the same kind share", null=True),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="FailureGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.BigIntegerField()),
                (
                    "outcome",
                    models.SmallIntegerField(
                        choices=[
                            (0, "Closed"),
                            (1, "Failed"),
                            (2, "Skipped"),
                            (3, "Voted"),
                            (4, "Expired"),
                            (5, "reclaimed by a manager"),
                            (6, "cancelled: the task was deleted"),
                            (7, "voted with the majority"),
                            (8, "voted against the majority"),
                        ]
                    ),
                ),
                (
                    "reason",
                    models.SmallIntegerField(
                        choices=[(1, "Error"), (2, "Bad Recipe"), (3, "Shutdown"), (4, "Busy"), (5, "Not For Me")],
                        null=True,
                    ),
                ),
                ("message", models.TextField(help_text="of its newest attempt", null=True)),
                ("count", models.BigIntegerField()),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("example", models.BigIntegerField(help_text="the id of its newest attempt")),
                (
                    "workers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        help_text="the first workers that saw it, at most 100",
                        size=None,
                    ),
                ),
                (
                    "versions",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        help_text="the first versions that had it, at most 100",
                        size=None,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="OutcomeEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "outcome",
                    models.SmallIntegerField(
                        choices=[
                            (0, "Closed"),
                            (1, "Failed"),
                            (2, "Skipped"),
                            (3, "Voted"),
                            (4, "Expired"),
                            (5, "reclaimed by a manager"),
                            (6, "cancelled: the task was deleted"),
                            (7, "voted with the majority"),
                            (8, "voted against the majority"),
                        ]
                    ),
                ),
                ("attempt", models.BigIntegerField(help_text="the id of a failed attempt, for its group", null=True)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ProjectTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("minute", models.DateTimeField()),
                ("closed", models.BigIntegerField(db_default=0)),
                ("failed", models.BigIntegerField(db_default=0)),
                ("skipped", models.BigIntegerField(db_default=0)),
                ("expired", models.BigIntegerField(db_default=0)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Settled",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("until", models.DateTimeField(help_text="no task will close before this time any more")),
                ("next_until", models.DateTimeField(null=True)),
                ("next_xid", models.BigIntegerField(help_text="those before this transaction id", null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="WorkerTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField(null=True)),
                ("closed", models.BigIntegerField(db_default=0)),
                ("failed", models.BigIntegerField(db_default=0)),
                ("skipped", models.BigIntegerField(db_default=0)),
                ("expired", models.BigIntegerField(db_default=0)),
                ("agreed", models.BigIntegerField(db_default=0)),
                ("outvoted", models.BigIntegerField(db_default=0)),
                (
                    "durations",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        db_default=[],
                        help_text="how many closed tasks took how long; see tasks.durations",
                        size=None,
                    ),
                ),
                ("seen", models.DateTimeField(help_text="the newest of these")),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.RemoveIndex(
            model_name="task",
            name="task_awaiting",
        ),
        migrations.AddField(
            model_name="closedentry",
            name="at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AddField(
            model_name="closedentry",
            name="duration",
            field=models.SmallIntegerField(db_default=0, help_text="the class of their times; see tasks.durations"),
        ),
        migrations.AddField(
            model_name="closedtask",
            name="message",
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name="closedtask",
            name="output",
            field=models.TextField(help_text="as JSON", null=True),
        ),
        migrations.AddField(
            model_name="closedtask",
            name="seconds",
            field=models.FloatField(help_text="how long it took by the worker's own count", null=True),
        ),
        migrations.AddField(
            model_name="closedtask",
            name="submitter",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddField(
            model_name="closedtask",
            name="version",
            field=models.CharField(db_default="", help_text="the project's version when it closed", max_length=200),
        ),
        migrations.AddField(
            model_name="task",
            name="expiries",
            field=models.SmallIntegerField(db_default=0, help_text="how many of its leases have expired"),
        ),
        migrations.AddField(
            model_name="task",
            name="failure",
            field=models.BigIntegerField(
                help_text="of a failed task: the fingerprint of the attempt that made it so; see FailureGroup",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="submitter",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="the worker that submitted it, or the task that it was chained from; null: an operator",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AlterField(
            model_name="closedtask",
            name="votes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(null=True),
                help_text="their verification hashes; null: it was not for that worker",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="votes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(null=True),
                db_default=[],
                help_text="their verification hashes; null: not for them",
                size=None,
            ),
        ),
        migrations.AddIndex(
            model_name="closedtask",
            index=models.Index(
                condition=models.Q(("hash64__isnull", False)), fields=["project", "hash64"], name="closedtask_by_hash"
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status", 2)), fields=["project", "failure", "id"], name="task_failed_alike"
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(
                    ("status", 1),
                    models.Q(
                        django.db.models.lookups.Exact(
                            models.Func(
                                models.F("votes"),
                                models.Value(None),
                                function="array_remove",
                                output_field=django.contrib.postgres.fields.ArrayField(
                                    base_field=models.BigIntegerField(), size=None
                                ),
                            ),
                            models.Value(
                                [],
                                output_field=django.contrib.postgres.fields.ArrayField(
                                    base_field=models.BigIntegerField(), size=None
                                ),
                            ),
                        ),
                        _negated=True,
                    ),
                ),
                fields=["project", "id"],
                name="task_awaiting",
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="attempts",
                to="projects.project",
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddField(
            model_name="failuregroup",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="projects.project",
            ),
        ),
        migrations.AddField(
            model_name="outcomeentry",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="projects.project",
            ),
        ),
        migrations.AddField(
            model_name="outcomeentry",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddField(
            model_name="projecttally",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="projects.project",
            ),
        ),
        migrations.AddField(
            model_name="workertally",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="projects.project",
            ),
        ),
        migrations.AddField(
            model_name="workertally",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(fields=["task_id"], name="attempt_by_task"),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(fields=["project", "ended"], name="attempt_by_time"),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(fields=["worker", "ended"], name="attempt_by_worker"),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                condition=models.Q(("fingerprint__isnull", False)),
                fields=["project", "fingerprint", "id"],
                name="attempt_alike",
            ),
        ),
        migrations.AddIndex(
            model_name="failuregroup",
            index=models.Index(fields=["project", "-last_seen"], name="failuregroup_newest"),
        ),
        migrations.AddConstraint(
            model_name="failuregroup",
            constraint=models.UniqueConstraint(fields=("project", "fingerprint"), name="failuregroup_one_per_kind"),
        ),
        migrations.AddConstraint(
            model_name="projecttally",
            constraint=models.UniqueConstraint(fields=("project", "minute"), name="projecttally_one_per_minute"),
        ),
        migrations.AddIndex(
            model_name="workertally",
            index=models.Index(fields=["hour"], name="workertally_by_hour"),
        ),
        migrations.AddConstraint(
            model_name="workertally",
            constraint=models.UniqueConstraint(
                fields=("project", "worker", "hour"), name="workertally_one_per_hour", nulls_distinct=False
            ),
        ),
        migrations.RunSQL(AUTOVACUUM, migrations.RunSQL.noop),
        migrations.RunPython(functions.install, migrations.RunPython.noop),
    ]
