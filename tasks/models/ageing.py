"""Which projects' tasks have been ranked by their age."""

from django.db import models
from django.db.models.functions import Now

from projects.models import Project


class Ageing(models.Model):
    """The setting `ageing_seconds` by which the tasks of a project are ranked, or being ranked.

    A project without ageing has no row once its tasks have no head start any more; see tasks.queue.ageing.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="+")
    seconds = models.PositiveIntegerField()
    after = models.BigIntegerField(null=True, help_text="the last task that was ranked; null: all are")
    noticed = models.DateTimeField(db_default=Now(), help_text="when the setting was seen to have changed")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.seconds} seconds in project {self.project_id}"
