from django.db import migrations, models


class Migration(migrations.Migration):
    """Count how often a manager's sessions were ended, so that none is revived."""

    dependencies = [("accounts", "0002_usernames")]

    operations = [
        migrations.AlterModelManagers(name="user", managers=[]),
        migrations.AddField(
            model_name="user",
            name="session_epoch",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="rises whenever all sessions of the manager are ended",
            ),
        ),
    ]
