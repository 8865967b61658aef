"""Tasks: the queue, and what is kept of the closed ones.

The life of a task is drawn in docs/task-lifecycle.md; the transitions are in tasks.queue and, those that
managers make, in tasks.maintenance.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from projects.models import Project
from workers.models import Worker

# Each task that may be leased, by task_fresh and task_voted: a table to read from in their order.
READY_TASKS = """(
    SELECT * FROM tasks_task WHERE status = 1 AND assignee_id IS NULL AND voters = '{}'
    UNION ALL
    SELECT * FROM tasks_task WHERE status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
) AS tasks_task"""

READY = Q(status=1) & Q(assignee__isnull=True)
LEASED = Q(assignee__isnull=False)


class Task(models.Model):
    """A task that is not closed: ready, leased or failed. A closed one leaves this table for ClosedTask."""

    class Status(models.IntegerChoices):
        NEW = 1
        FAILED = 2

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    recipe = models.TextField(help_text="what the worker is to do; the tracker never looks into it")
    priority = models.SmallIntegerField(db_default=0, help_text="higher first")
    status = models.SmallIntegerField(choices=Status, db_default=Status.NEW)
    retries = models.IntegerField(db_default=0, help_text="how often it was released as FAIL")
    max_retries = models.IntegerField(db_default=0, help_text="FAILED when `retries` gets there")
    max_assign_time = models.IntegerField(
        db_default=0, help_text="seconds that a lease lasts, 0 = the project's lease_seconds"
    )
    hash64 = models.BigIntegerField(null=True, blank=True, help_text="unique in the project; null: none")
    verification_count = models.SmallIntegerField(
        db_default=0, help_text="how many different workers have to agree; 0 means 1"
    )
    created = models.DateTimeField(db_default=Now())

    # Votes that have not closed it yet, the worker and its verification hash at the same place of both. In the row
    # rather than in a table of their own, so that a lease sees them under the same row lock as the rest: a vote can't
    # be missed by a statement whose snapshot is older, and neither voting nor closing touches a second table.
    voters = ArrayField(models.BigIntegerField(), db_default=[], help_text="workers that verified it, in order")
    votes = ArrayField(models.BigIntegerField(), db_default=[], help_text="their verification hashes")

    # The four columns of a lease are null together. No constraint on the worker: it would lock the worker's row at
    # each lease, and a lease of a deleted worker runs out like any other.
    assignee = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, null=True, related_name="leases", db_constraint=False, db_index=False
    )
    lease = models.UUIDField(null=True, help_text="opaque id of the lease")
    assign_time = models.DateTimeField(null=True)
    lease_expires = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["project", "hash64"], condition=Q(hash64__isnull=False), name="task_hash_unique"
            ),
            models.CheckConstraint(condition=~Q(recipe=""), name="task_recipe_filled"),
            models.CheckConstraint(condition=Q(status__in=[1, 2]), name="task_status_known"),
            models.CheckConstraint(
                condition=Q(retries__gte=0, max_retries__gte=0, max_assign_time__gte=0, verification_count__gte=0),
                name="task_limits_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    assignee__isnull=True, lease__isnull=True, assign_time__isnull=True, lease_expires__isnull=True
                )
                | Q(
                    assignee__isnull=False,
                    lease__isnull=False,
                    assign_time__isnull=False,
                    lease_expires__isnull=False,
                    status=1,
                ),
                name="task_lease_whole",
            ),
            models.CheckConstraint(condition=Q(voters__len=F("votes__len")), name="task_one_vote_per_voter"),
        ]
        indexes = [
            # One partial index per question; each row stands in exactly one of task_fresh, task_voted, task_leased and
            # task_failed. What there is to lease is split, so that a lease need not step over what its worker has
            # verified; task_voters leads from one group of voters to the next. By their first 100 only, since the keys
            # of an index must be short.
            models.Index(
                F("project"), F("priority").desc(), F("id"), name="task_fresh", condition=READY & Q(voters=[])
            ),
            models.Index(
                F("project"), F("priority").desc(), F("id"), name="task_voted", condition=READY & ~Q(voters=[])
            ),
            models.Index(
                F("project"),
                F("voters__0_100"),
                F("priority").desc(),
                F("id"),
                name="task_voters",
                condition=READY & ~Q(voters=[]),
            ),
            models.Index(fields=["project", "lease_expires"], name="task_leased", condition=LEASED),
            models.Index(fields=["project", "id"], name="task_failed", condition=Q(status=2)),
            # For counting and listing those that wait for further verifications.
            models.Index(fields=["project", "id"], name="task_awaiting", condition=Q(status=1) & ~Q(voters=[])),
        ]

    def __str__(self) -> str:
        return f"task {self.pk}"


class ClosedTask(models.Model):
    """A task that was closed, kept for its project's retention. Written once, never changed.

    Its project and worker carry no constraint, so that closing locks neither's row. Deleting a project deletes these;
    those of a deleted worker stay, since they are the project's history.
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
    votes = ArrayField(models.BigIntegerField(), help_text="their verification hashes")
    created = models.DateTimeField()
    assign_time = models.DateTimeField(help_text="when the lease began that closed it")
    closed = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["project", "closed"], name="closedtask_by_time")]

    def __str__(self) -> str:
        return f"closed task {self.pk}"


class ClosedTotal(models.Model):
    """How many tasks of one project one worker has closed, up to the last folding of ClosedEntry."""

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
    """A closing not yet in ClosedTotal. Appended by each release that closes, folded and deleted by the scheduler.

    The exact count is the total plus these, read in one statement. A counter that each closing updated would make
    its row the speed limit of all workers that share it.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    count = models.IntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.count} more by worker {self.worker_id} in project {self.project_id}"
