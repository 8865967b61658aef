import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models

from tasks.queue import functions

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "c32957dc99c14d2a"

# Each row is deleted after ten minutes.
AUTOVACUUM = """
ALTER TABLE tasks_repeatable SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0
)
"""


# Without a rank, a row could not be leased in order.
RANK = """
-- Writes the table anew, without dead rows.
ALTER TABLE tasks_task ALTER COLUMN rank TYPE bigint USING priority::bigint;
CREATE FUNCTION task_rank() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.rank := NEW.priority + coalesce(NEW.head_start, 0);
    RETURN NEW;
END
$$;
CREATE TRIGGER task_rank_of_new BEFORE INSERT ON tasks_task
FOR EACH ROW WHEN (NEW.rank IS NULL) EXECUTE FUNCTION task_rank()
"""
NO_RANK = """
DROP TRIGGER task_rank_of_new ON tasks_task;
DROP FUNCTION task_rank()
"""


class Migration(migrations.Migration):
    """Keys of calls that may be repeated, heartbeats, cancelling, delays, expiry, ranks by age, and verification that ends.

    Each task gets its rank: a minute or two for ten million tasks, during which the tracker stands still.
    """

    dependencies = [
        ("projects", "0009_retries_votes_ageing"),
        ("tasks", "0011_figures_of_workers"),
        ("workers", "0002_operator_marks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Ageing",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="projects.project",
                    ),
                ),
                ("seconds", models.PositiveIntegerField()),
                ("after", models.BigIntegerField(help_text="the last task that was ranked; null: all are", null=True)),
                (
                    "noticed",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="when the setting was seen to have changed",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
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
            },
        ),
        migrations.RemoveConstraint(
            model_name="task",
            name="task_status_known",
        ),
        migrations.RemoveIndex(
            model_name="task",
            name="task_fresh",
        ),
        migrations.RemoveIndex(
            model_name="task",
            name="task_voted",
        ),
        migrations.RemoveIndex(
            model_name="task",
            name="task_voters",
        ),
        migrations.RemoveIndex(
            model_name="task",
            name="task_awaiting",
        ),
        migrations.AddField(
            model_name="attempt",
            name="submitter",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="of a cancelled task, which has no other row: Task.submitter",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="expires_at",
            field=models.DateTimeField(
                help_text="from then on it is not leased, and becomes FAILED as soon as nobody holds it; null: never",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="head_start",
            field=models.BigIntegerField(
                help_text="in a project with ageing, what is added to the priority; see tasks.queue.ageing", null=True
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="rank",
            field=models.BigIntegerField(
                help_text="priority and head start: tasks with a higher one are leased first; the oldest of equals",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="run_at",
            field=models.DateTimeField(help_text="of a delayed task: when it becomes ready", null=True),
        ),
        migrations.AlterField(
            model_name="attempt",
            name="began",
            field=models.DateTimeField(help_text="null with the worker", null=True),
        ),
        migrations.AlterField(
            model_name="attempt",
            name="lease",
            field=models.UUIDField(help_text="opaque id of the lease; null with the worker", null=True),
        ),
        migrations.AlterField(
            model_name="attempt",
            name="reason",
            field=models.SmallIntegerField(
                choices=[
                    (1, "Error"),
                    (2, "Bad Recipe"),
                    (3, "Shutdown"),
                    (4, "Busy"),
                    (5, "Not For Me"),
                    (6, "expired before it was done"),
                    (7, "disagreement of the workers"),
                ],
                help_text="of a FAIL or SKIP, or of the task's end",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="attempt",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="null: nobody held the task when it ended",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AlterField(
            model_name="failuregroup",
            name="reason",
            field=models.SmallIntegerField(
                choices=[
                    (1, "Error"),
                    (2, "Bad Recipe"),
                    (3, "Shutdown"),
                    (4, "Busy"),
                    (5, "Not For Me"),
                    (6, "expired before it was done"),
                    (7, "disagreement of the workers"),
                ],
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="outcomeentry",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="null: the task failed while nobody held it",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="status",
            field=models.SmallIntegerField(choices=[(1, "New"), (2, "Failed"), (3, "Delayed")], db_default=1),
        ),
        migrations.RunSQL(RANK, NO_RANK),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                models.F("project"),
                models.OrderBy(models.F("rank"), descending=True),
                models.F("id"),
                condition=models.Q(("status", 1), ("assignee__isnull", True), ("voters", [])),
                name="task_fresh",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                models.F("project"),
                models.OrderBy(models.F("rank"), descending=True),
                models.F("id"),
                condition=models.Q(("status", 1), ("assignee__isnull", True), models.Q(("voters", []), _negated=True)),
                name="task_voted",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                models.F("project"),
                models.F("voters__0_100"),
                models.OrderBy(models.F("rank"), descending=True),
                models.F("id"),
                condition=models.Q(("status", 1), ("assignee__isnull", True), models.Q(("voters", []), _negated=True)),
                name="task_voters",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status", 3)), fields=["project", "run_at", "id"], name="task_delayed"
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("assignee__isnull", True), ("expires_at__isnull", False), ("status__in", [1, 3])),
                fields=["expires_at"],
                name="task_expiring",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(
                    ("status__in", [1, 3]),
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
        migrations.AddConstraint(
            model_name="attempt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("began__isnull", False), ("lease__isnull", False), ("worker__isnull", False)),
                    models.Q(
                        ("began__isnull", True),
                        ("lease__isnull", True),
                        ("outcome__in", [1, 6]),
                        ("worker__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="attempt_of_a_worker",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "rank",
                        django.db.models.expressions.CombinedExpression(
                            models.F("priority"),
                            "+",
                            django.db.models.functions.comparison.Coalesce(models.F("head_start"), models.Value(0)),
                        ),
                    )
                ),
                name="task_rank_right",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("run_at__isnull", True), ("status__in", [1, 2])),
                    models.Q(("run_at__isnull", False), ("status", 3)),
                    _connector="OR",
                ),
                name="task_status_known",
            ),
        ),
        migrations.AddIndex(
            model_name="repeatable",
            index=models.Index(fields=["at"], name="repeatable_by_time"),
        ),
        # The way back begins here, and the older version has no place for these.
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM tasks_attempt WHERE worker_id IS NULL"),
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM tasks_outcomeentry WHERE worker_id IS NULL"),
        migrations.RunSQL(migrations.RunSQL.noop, "UPDATE tasks_task SET status = 1, run_at = NULL WHERE status = 3"),
        migrations.RunSQL(AUTOVACUUM, migrations.RunSQL.noop),
        migrations.RunPython(functions.install, migrations.RunPython.noop),
    ]
