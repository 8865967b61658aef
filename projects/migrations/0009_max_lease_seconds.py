import django.core.validators
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """How far workers may extend a lease."""

    dependencies = [("projects", "0008_max_expiries")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="max_lease_seconds",
            field=models.PositiveIntegerField(
                db_default=86400,
                default=86400,
                help_text="how many seconds from now a worker's heartbeat may extend a lease to at most",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(condition=Q(max_lease_seconds__gt=0), name="project_max_lease_not_empty"),
        ),
    ]
