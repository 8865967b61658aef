"""Entries may say which task they are about, and those of a task or a worker are found by an index, newest first."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("logs", "0002_by_receipt"),
        ("workers", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="logentry",
            name="task_id",
            field=models.BigIntegerField(help_text="the task that it is about; null: not said", null=True),
        ),
        migrations.AddIndex(
            model_name="logentry",
            index=models.Index(
                models.F("worker"),
                models.OrderBy(models.F("received"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                name="logentry_of_worker",
            ),
        ),
        migrations.AlterField(
            model_name="logentry",
            name="worker",
            field=models.ForeignKey(
                db_index=False,
                help_text="null: the worker was deleted",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="workers.worker",
            ),
        ),
        migrations.AddIndex(
            model_name="logentry",
            index=models.Index(
                models.F("task_id"),
                models.OrderBy(models.F("received"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("task_id__isnull", False)),
                name="logentry_of_task",
            ),
        ),
    ]
