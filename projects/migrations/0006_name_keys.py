"""Projects are compared by a key of their name: NFKC, without case, and without letters that look the same."""

from django.db import migrations, models

from tracker import names


def give_keys(apps, schema_editor):
    projects = apps.get_model("projects", "Project")._default_manager.using(schema_editor.connection.alias)
    names.give_keys(projects.all(), name="name", key="name_key")


class Migration(migrations.Migration):
    dependencies = [
        ("projects", "0005_snapshot_leased_oldest_version"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="name_key",
            field=models.TextField(
                editable=False,
                help_text="what is compared instead of the name; null: written by a version without keys",
                null=True,
            ),
        ),
        migrations.RunPython(give_keys, migrations.RunPython.noop, elidable=True),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.UniqueConstraint(fields=("name_key",), name="project_name_key_unique"),
        ),
    ]
