from django.db import migrations, models

from tasks.queue import functions

READY = (("status", 1), ("assignee__isnull", True))
FRESH = models.Q(*READY, ("voters", []))
VOTED = models.Q(*READY, models.Q(("voters", []), _negated=True))
ORDER = (models.OrderBy(models.F("priority"), descending=True), models.F("id"))

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "3b9b9196fb5bdc8f"


class Migration(migrations.Migration):
    """Move tasks by functions in the database, and keep what a worker may have verified apart from fresh tasks."""

    dependencies = [
        ("projects", "0005_snapshot_leased_oldest_version"),
        ("tasks", "0005_awaiting_by_id"),
        ("workers", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="task", name="task_ready"),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(models.F("project"), *ORDER, condition=FRESH, name="task_fresh"),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(models.F("project"), *ORDER, condition=VOTED, name="task_voted"),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                models.F("project"), models.F("voters__0_100"), *ORDER, condition=VOTED, name="task_voters"
            ),
        ),
        migrations.RunPython(functions.install, functions.drop),
    ]
