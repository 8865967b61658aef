from django.db import migrations

from tasks.queue import functions

#: The state of tasks.queue.functions that this migration installs; a test holds the newest one against it.
DIGEST = "670ef4a7406fbc46"


class Migration(migrations.Migration):
    """Functions by which workers extend their leases."""

    dependencies = [
        ("projects", "0009_max_lease_seconds"),
        ("tasks", "0011_figures_of_workers"),
    ]

    operations = [migrations.RunPython(functions.install, migrations.RunPython.noop)]
