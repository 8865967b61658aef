"""Entries are listed by when they were received, not by what their workers say."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("logs", "0001_initial"),
        ("workers", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="logentry",
            index=models.Index(
                models.OrderBy(models.F("received"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                name="logentry_by_receipt",
            ),
        ),
        migrations.RemoveIndex(model_name="logentry", name="logentry_newest"),
        migrations.RemoveIndex(model_name="logentry", name="logentry_received"),
    ]
