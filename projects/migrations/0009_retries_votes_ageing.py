import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """Settings for heartbeats, retries, verification that ends, and ageing; count delayed tasks."""

    dependencies = [
        ("projects", "0008_max_expiries"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="ageing_seconds",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="each time that a task has waited so long, its place is that of the next higher priority, 0 = never",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="max_lease_seconds",
            field=models.PositiveIntegerField(
                db_default=86400,
                default=86400,
                help_text="how many seconds from now a worker's heartbeat may extend a lease to at most",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="max_votes",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="how many workers may verify a task without enough agreeing before it is FAILED, 0 = any number",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="retry_backoff",
            field=models.CharField(
                choices=[("none", "at once"), ("fixed", "Fixed"), ("linear", "Linear"), ("exponential", "Exponential")],
                db_default="none",
                default="none",
                help_text="how the delay before the next attempt grows with the number of FAILs",
                max_length=11,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="retry_jitter",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="by up to how many percent a delay is shortened at random",
                validators=[django.core.validators.MaxValueValidator(100)],
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="retry_max_seconds",
            field=models.PositiveIntegerField(
                db_default=3600,
                default=3600,
                help_text="the longest delay",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(604800),
                ],
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="retry_seconds",
            field=models.PositiveIntegerField(
                db_default=60,
                default=60,
                help_text="the delay after the first FAIL",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(604800),
                ],
            ),
        ),
        migrations.AddField(
            model_name="snapshot",
            name="delayed_task_count",
            field=models.BigIntegerField(db_default=0, help_text="of the new ones, those that wait for a time"),
        ),
        migrations.AlterField(
            model_name="snapshot",
            name="new_task_count",
            field=models.BigIntegerField(help_text="neither failed nor closed; leased and delayed ones count"),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(("max_lease_seconds__gt", 0)), name="project_max_lease_not_empty"
            ),
        ),
    ]
