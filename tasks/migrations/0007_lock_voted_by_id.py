from django.db import migrations

from tasks.queue import functions

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "d63a594738f985fa"


class Migration(migrations.Migration):
    """Lock verified tasks by their ids, and find released ones by their ctid."""

    dependencies = [("tasks", "0006_queue_functions")]

    operations = [migrations.RunPython(functions.install, migrations.RunPython.noop)]
