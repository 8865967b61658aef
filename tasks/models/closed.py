"""The closed tasks that are kept, and how many each worker has closed."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from projects.models import Project
from workers.models import Worker


class ClosedTask(models.Model):
    """A closed task, kept for its project's retention period. Written once, never changed.

    Its project and worker have no foreign key constraint, so that closing a task locks neither row. Deleting a project
    deletes its closed tasks. Deleting a worker keeps them, since they are the project's history.
    """

    id = models.BigIntegerField(primary_key=True, help_text="the id that the task had")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="closed_tasks", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    recipe = models.TextField()
    priority = models.SmallIntegerField()
    retries = models.IntegerField()
    hash64 = models.BigIntegerField(null=True, help_text="null: it had none")
    verification = models.BigIntegerField(help_text="the verification hash that closed it")
    voters = ArrayField(models.BigIntegerField(), help_text="the workers that verified it before, in order")
    votes = ArrayField(
        models.BigIntegerField(null=True), help_text="their verification hashes; null: it was not for that worker"
    )
    created = models.DateTimeField()
    assign_time = models.DateTimeField(help_text="when the lease began that closed it")
    closed = models.DateTimeField(db_default=Now())
    submitter = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    # What the worker told that closed it.
    message = models.TextField(null=True)  # noqa: DJ001
    output = models.TextField(null=True, help_text="as JSON")  # noqa: DJ001
    seconds = models.FloatField(null=True, help_text="how long it took by the worker's own count")
    version = models.CharField(max_length=200, db_default="", help_text="the project's version when it closed")

    class Meta:
        default_permissions = ()
        indexes = [
            # For the order of closing, too, in which results are read; see tasks.queries.results.
            models.Index(fields=["project", "closed"], name="closedtask_by_time"),
            models.Index(fields=["project", "hash64"], name="closedtask_by_hash", condition=Q(hash64__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"closed task {self.pk}"

    @property
    def took(self) -> float:
        """Its seconds by the worker's own count, or else those of the lease."""
        return (self.closed - self.assign_time).total_seconds() if self.seconds is None else self.seconds


class ClosedTotal(models.Model):
    """How many tasks of a project a worker has closed, up to the last folding of ClosedEntry rows."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    count = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["project", "worker"], name="closedtotal_one_per_pair")]

    def __str__(self) -> str:
        return f"{self.count} by worker {self.worker_id} in project {self.project_id}"


class ClosedEntry(models.Model):
    """Closed tasks not yet counted in ClosedTotal. Appended by each release that closes tasks.

    The scheduler folds these rows: it adds them to ClosedTotal and deletes them. The exact count is the total plus
    these, read in one statement. If each release updated a counter instead, the row lock on the counter would limit the
    speed of all workers that share it.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    count = models.IntegerField()
    duration = models.SmallIntegerField(db_default=0, help_text="the class of their times; see tasks.durations")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.count} more by worker {self.worker_id} in project {self.project_id}"


class Settled(models.Model):
    """Up to when all closings are known: one row, with the id 1. See tasks.queries.results."""

    until = models.DateTimeField(help_text="no task will close before this time any more")
    # The next value of `until`, once the transactions that were running when it was noted have ended.
    next_until = models.DateTimeField(null=True)
    next_xid = models.BigIntegerField(null=True, help_text="those before this transaction id")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"all closings up to {self.until}"
