"""The leases that ended without closing their task, and the groups of those that failed alike."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from projects.models import Project
from workers.models import Worker

# Of an attempt whose lease is not known any more, as an SQL expression. No lease has this id.
NO_LEASE = "'00000000-0000-0000-0000-000000000000'::uuid"


class Outcome(models.IntegerChoices):
    """How a lease ended, and how a vote turned out when the task closed."""

    CLOSED = 0
    FAILED = 1
    SKIPPED = 2
    VOTED = 3
    EXPIRED = 4
    RECLAIMED = 5, "reclaimed by a manager"
    CANCELLED = 6, "cancelled: the task was deleted"
    AGREED = 7, "voted with the majority"
    OUTVOTED = 8, "voted against the majority"


class Reason(models.IntegerChoices):
    """Why a worker released a task as FAIL or SKIP, or (EXPIRED, DISAGREEMENT) why the task became FAILED otherwise."""

    ERROR = 1
    BAD_RECIPE = 2
    SHUTDOWN = 3
    BUSY = 4
    NOT_FOR_ME = 5
    EXPIRED = 6, "expired before it was done"
    DISAGREEMENT = 7, "disagreement of the workers"


class Attempt(models.Model):
    """A lease that ended without closing its task, or a task that was cancelled. Written once, never changed.

    A task that ends while nobody holds it has a row, too, without worker, lease and begin: it tells why.

    The lease that closes a task leaves no row here: it is told by the ClosedTask. Only when a manager puts that task
    back (tasks.putting_back) does its closing become a row, without the id of the lease. A task that is cancelled while
    nobody holds it leaves a row without a worker (tasks.cancelling). Like closed tasks, attempts have no foreign key
    constraints and are kept for the project's retention period.
    """

    # The id of a Task or, later, of a ClosedTask; also of a task that has been deleted.
    task_id = models.BigIntegerField()
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="attempts", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="null: nobody held the task when it ended",
    )
    lease = models.UUIDField(null=True, help_text="opaque id of the lease; null with the worker")
    began = models.DateTimeField(null=True, help_text="null with the worker")
    ended = models.DateTimeField(db_default=Now())
    outcome = models.SmallIntegerField(choices=Outcome)
    reason = models.SmallIntegerField(choices=Reason, null=True, help_text="of a FAIL or SKIP, or of the task's end")
    message = models.TextField(null=True, help_text="what the worker said")  # noqa: DJ001
    output = models.TextField(null=True, help_text="what the worker sent, as JSON")  # noqa: DJ001
    seconds = models.FloatField(null=True, help_text="how long it took by the worker's own count")
    version = models.CharField(max_length=200, help_text="the project's version when the lease ended")
    fingerprint = models.BigIntegerField(null=True, help_text="what failed attempts of the same kind share")
    submitter = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="of a cancelled task, which has no other row: Task.submitter",
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(worker__isnull=False, lease__isnull=False, began__isnull=False)
                | Q(
                    worker__isnull=True,
                    lease__isnull=True,
                    began__isnull=True,
                    outcome__in=[Outcome.FAILED, Outcome.CANCELLED],
                ),
                name="attempt_of_a_worker",
            )
        ]
        indexes = [
            models.Index(fields=["task_id"], name="attempt_by_task"),
            models.Index(fields=["project", "ended"], name="attempt_by_time"),
            models.Index(fields=["worker", "ended"], name="attempt_by_worker"),
            models.Index(
                fields=["project", "fingerprint", "id"],
                name="attempt_alike",
                condition=Q(fingerprint__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} attempt {self.pk} at task {self.task_id}"


class FailureGroup(models.Model):
    """The failed attempts of a project that have the same reason and, but for numbers and the like, the same message.

    The scheduler folds new attempts into it; see tasks.queue.upkeep.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    fingerprint = models.BigIntegerField()
    outcome = models.SmallIntegerField(choices=Outcome)
    reason = models.SmallIntegerField(choices=Reason, null=True)
    message = models.TextField(null=True, help_text="of its newest attempt")  # noqa: DJ001
    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    example = models.BigIntegerField(help_text="the id of its newest attempt")
    workers = ArrayField(models.BigIntegerField(), help_text="the first workers that saw it, at most 100")
    versions = ArrayField(models.TextField(), help_text="the first versions that had it, at most 100")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["project", "fingerprint"], name="failuregroup_one_per_kind")]
        indexes = [models.Index(fields=["project", "-last_seen"], name="failuregroup_newest")]

    def __str__(self) -> str:
        return f"{self.count} failures in project {self.project_id}: {self.message}"
