"""How leases ended, counted per worker and per project.

Each call that ends leases appends rows: ClosedEntry for closed tasks, OutcomeEntry for everything else. The scheduler
folds them into the tallies. A reader adds what is not yet folded, in one statement.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from projects.models import Project
from tasks.models.attempts import Outcome
from workers.models import Worker


class OutcomeEntry(models.Model):
    """Leases that ended without closing their task, or votes on a task that closed, not yet folded."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="null: the task failed while nobody held it",
    )
    outcome = models.SmallIntegerField(choices=Outcome)
    attempt = models.BigIntegerField(null=True, help_text="the id of a failed attempt, for its group")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} by worker {self.worker_id} in project {self.project_id}"


class WorkerTally(models.Model):
    """What a worker has done in a project in one hour, or (`hour` is null) over all time."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    hour = models.DateTimeField(null=True)
    closed = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    skipped = models.BigIntegerField(db_default=0)
    expired = models.BigIntegerField(db_default=0)
    agreed = models.BigIntegerField(db_default=0)
    outvoted = models.BigIntegerField(db_default=0)
    durations = ArrayField(
        models.BigIntegerField(), db_default=[], help_text="how many closed tasks took how long; see tasks.durations"
    )
    seen = models.DateTimeField(help_text="the newest of these")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["project", "worker", "hour"], name="workertally_one_per_hour", nulls_distinct=False
            )
        ]
        indexes = [
            models.Index(fields=["hour"], name="workertally_by_hour"),
            # All that tasks.queries.figures sums up of a project; the rows themselves are long, by their durations.
            models.Index(
                fields=["project", "hour"],
                name="workertally_figures",
                include=["worker", "closed", "failed", "skipped", "expired", "agreed", "outvoted", "seen"],
            ),
        ]

    def __str__(self) -> str:
        return f"worker {self.worker_id} in project {self.project_id} in {self.hour or 'all time'}"


class ProjectTally(models.Model):
    """How many of a project's leases ended how in one minute."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    minute = models.DateTimeField()
    closed = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    skipped = models.BigIntegerField(db_default=0)
    expired = models.BigIntegerField(db_default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["project", "minute"], name="projecttally_one_per_minute")]

    def __str__(self) -> str:
        return f"project {self.project_id} in the minute {self.minute}"
