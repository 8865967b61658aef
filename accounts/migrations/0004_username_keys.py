"""Managers are compared by a key of their name: NFKC, without case, and without letters that look the same."""

from django.db import migrations, models

import accounts.models
from tracker import names


def give_keys(apps, schema_editor):
    users = apps.get_model("accounts", "User")._default_manager.using(schema_editor.connection.alias)
    names.give_keys(users.all(), name="username", key="username_key")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_session_epoch"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="username_key",
            field=models.TextField(
                editable=False,
                help_text="what is compared instead of the name; null: written by a version without keys",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="user",
            name="username",
            field=models.CharField(
                help_text="3 to 16 letters, digits and @/./+/-/_",
                max_length=16,
                unique=True,
                validators=[accounts.models.check_username],
            ),
        ),
        migrations.RunPython(give_keys, migrations.RunPython.noop, elidable=True),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("username_key",), name="user_username_key_unique"),
        ),
    ]
