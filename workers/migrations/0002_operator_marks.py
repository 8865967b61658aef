import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Let managers mark workers of one operator."""

    dependencies = [
        ("projects", "0009_retries_votes_ageing"),
        ("workers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="OperatorMark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operator", models.CharField(help_text="what the manager calls the operator", max_length=100)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="operator_marks",
                        to="projects.project",
                    ),
                ),
                (
                    "worker",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="operator_marks", to="workers.worker"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["project", "operator", "worker"], name="operatormark_of_operator")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "worker"), name="operatormark_one_per_worker"),
                    models.CheckConstraint(
                        condition=models.Q(("operator", ""), _negated=True), name="operatormark_operator_filled"
                    ),
                ],
            },
        ),
    ]
