from django.db import migrations


class Migration(migrations.Migration):
    """Counters need not survive a crash of the database, and without a log they cost half."""

    dependencies = [("tracker", "0001_counters_and_chores")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE tracker_counter SET UNLOGGED",
            "ALTER TABLE tracker_counter SET LOGGED",
        )
    ]
