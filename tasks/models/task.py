"""The tasks that are not closed: the queue."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import Exact

from projects.models import Project
from workers.models import Worker

# All ready tasks, for a FROM clause. Each branch can use its own index, task_fresh or task_voted, in index order.
READY_TASKS = """(
    SELECT * FROM tasks_task WHERE status = 1 AND assignee_id IS NULL AND voters = '{}'
    UNION ALL
    SELECT * FROM tasks_task WHERE status = 1 AND assignee_id IS NULL AND NOT voters = '{}'
) AS tasks_task"""

# Tasks that await further verifications, delayed ones included. A voter without a vote has said that the task is not
# for it.
AWAITING = "status IN (1, 3) AND NOT array_remove(votes, NULL) = '{}'"

VERIFIED = ~Q(
    Exact(
        Func(F("votes"), Value(None), function="array_remove", output_field=ArrayField(models.BigIntegerField())),
        Value([], output_field=ArrayField(models.BigIntegerField())),
    )
)
READY = Q(status=1) & Q(assignee__isnull=True)
LEASED = Q(assignee__isnull=False)
EXPIRING = Q(expires_at__isnull=False, assignee__isnull=True, status__in=[1, 3])


class Task(models.Model):
    """A task that is not closed: ready, leased, delayed or failed. Closing moves it from this table to ClosedTask."""

    class Status(models.IntegerChoices):
        NEW = 1
        FAILED = 2
        DELAYED = 3

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
    run_at = models.DateTimeField(null=True, help_text="of a delayed task: when it becomes ready")
    expires_at = models.DateTimeField(
        null=True, help_text="from then on it is not leased, and becomes FAILED as soon as nobody holds it; null: never"
    )
    head_start = models.BigIntegerField(
        null=True, help_text="in a project with ageing, what is added to the priority; see tasks.queue.ageing"
    )
    # A generated column would cost each submit a second look at its row, and a trigger on updates each lease. So who
    # changes one of the two that it is made of writes it, too; a trigger does for new rows without it.
    rank = models.BigIntegerField(
        null=True, help_text="priority and head start: tasks with a higher one are leased first; the oldest of equals"
    )
    submitter = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="the worker that submitted it, or the task that it was chained from; null: an operator",
    )
    expiries = models.SmallIntegerField(db_default=0, help_text="how many of its leases have expired")
    failure = models.BigIntegerField(
        null=True, help_text="of a failed task: the fingerprint of the attempt that made it so; see FailureGroup"
    )

    # The votes so far: voters[i] is the worker, votes[i] its verification hash. They are in the row rather than in a
    # separate table, so that a lease reads them under the same row lock as the rest: a statement with an older snapshot
    # can't miss a vote, and neither voting nor closing touches a second table.
    # A worker that said that the task is not for it is among the voters, with no vote: neither is given the task again.
    voters = ArrayField(models.BigIntegerField(), db_default=[], help_text="workers that verified it, in order")
    votes = ArrayField(
        models.BigIntegerField(null=True), db_default=[], help_text="their verification hashes; null: not for them"
    )

    # The four columns of a lease are all null or all set. The worker has no foreign key constraint: it would lock the
    # worker's row for each lease, and the lease of a deleted worker expires like any other.
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
            models.CheckConstraint(
                condition=Q(rank=F("priority") + Coalesce(F("head_start"), Value(0))), name="task_rank_right"
            ),
            models.CheckConstraint(
                condition=Q(status__in=[1, 2], run_at__isnull=True) | Q(status=3, run_at__isnull=False),
                name="task_status_known",
            ),
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
            # One partial index per kind of query; each row is in exactly one of task_fresh, task_voted, task_leased,
            # task_failed and task_delayed. Ready tasks are split into fresh and voted ones, so that a lease need not
            # step over the tasks that its worker has verified; task_voters leads from each group of tasks with the
            # same voters to the next. It holds only the first 100 voters, since index keys must be short.
            models.Index(F("project"), F("rank").desc(), F("id"), name="task_fresh", condition=READY & Q(voters=[])),
            models.Index(F("project"), F("rank").desc(), F("id"), name="task_voted", condition=READY & ~Q(voters=[])),
            models.Index(
                F("project"),
                F("voters__0_100"),
                F("rank").desc(),
                F("id"),
                name="task_voters",
                condition=READY & ~Q(voters=[]),
            ),
            models.Index(fields=["project", "lease_expires"], name="task_leased", condition=LEASED),
            # For counting the leases of one worker.
            models.Index(fields=["project", "assignee", "lease_expires"], name="task_held", condition=LEASED),
            models.Index(fields=["project", "id"], name="task_failed", condition=Q(status=2)),
            models.Index(fields=["project", "failure", "id"], name="task_failed_alike", condition=Q(status=2)),
            models.Index(fields=["project", "run_at", "id"], name="task_delayed", condition=Q(status=3)),
            # For the scheduler: the tasks that have expired, of all projects.
            models.Index(fields=["expires_at"], name="task_expiring", condition=EXPIRING),
            # For counting and listing the tasks that await further verifications.
            models.Index(fields=["project", "id"], name="task_awaiting", condition=Q(status__in=[1, 3]) & VERIFIED),
        ]

    def __str__(self) -> str:
        return f"task {self.pk}"
