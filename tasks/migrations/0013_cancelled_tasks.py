import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Remember tasks that were cancelled while nobody held them, and whose the cancelled ones were."""

    dependencies = [
        ("projects", "0009_max_lease_seconds"),
        ("tasks", "0012_heartbeats"),
        ("workers", "0001_initial"),
    ]

    operations = [
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
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="null: a task that nobody held was cancelled",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddConstraint(
            model_name="attempt",
            constraint=models.CheckConstraint(
                condition=Q(began__isnull=False, lease__isnull=False, worker__isnull=False)
                | Q(began__isnull=True, lease__isnull=True, outcome=6, worker__isnull=True),
                name="attempt_of_a_worker",
            ),
        ),
        # The way back begins here, and the older version has no place for these.
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM tasks_attempt WHERE worker_id IS NULL"),
    ]
