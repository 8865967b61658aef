from django.db import migrations, models


class Migration(migrations.Migration):
    """An index for the figures of a project's workers."""

    dependencies = [("tasks", "0010_attempts_and_outputs")]

    operations = [
        migrations.AddIndex(
            model_name="workertally",
            index=models.Index(
                fields=["project", "hour"],
                include=("worker", "closed", "failed", "skipped", "expired", "agreed", "outvoted", "seen"),
                name="workertally_figures",
            ),
        ),
    ]
