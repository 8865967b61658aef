from django.db import migrations, models


class Migration(migrations.Migration):
    """List the tasks that await verifications by index, too. A task that nobody has verified stands in neither."""

    dependencies = [("tasks", "0004_awaiting_index")]

    operations = [
        migrations.RemoveIndex(model_name="task", name="task_awaiting"),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status", 1), models.Q(("voters", []), _negated=True)),
                fields=["project", "id"],
                name="task_awaiting",
            ),
        ),
    ]
