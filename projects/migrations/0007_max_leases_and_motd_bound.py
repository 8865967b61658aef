"""A worker holds only so many leases of a project, and the message of the day, which each task repeats, is short."""

from django.db import migrations, models

import projects.models


class Migration(migrations.Migration):
    dependencies = [
        ("projects", "0006_name_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="max_leases",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="how many tasks a worker may hold at once, 0 = 1,000 if the project is public, else 10,000",
            ),
        ),
        migrations.AlterField(
            model_name="project",
            name="motd",
            field=models.TextField(
                blank=True,
                default="",
                validators=[projects.models.check_motd],
                verbose_name="message of the day",
            ),
        ),
    ]
