from django.db import migrations, models

from tasks.queue import functions

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "4c524ae0b75e0513"


class Migration(migrations.Migration):
    """Bound the bytes of a batch and the leases of a worker.

    queue_lease and queue_exchange, and what they call, stay for old processes.
    """

    dependencies = [
        ("projects", "0007_max_leases_and_motd_bound"),
        ("tasks", "0008_lease_hides_chain"),
        ("workers", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("assignee__isnull", False)),
                fields=["project", "assignee", "lease_expires"],
                name="task_held",
            ),
        ),
        migrations.RunPython(functions.install, migrations.RunPython.noop),
    ]
