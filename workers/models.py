"""Workers, the machines that do the tasks, and their access to projects."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from projects.models import Project


class Worker(models.Model):
    """A registered worker. It identifies itself with its id and a secret; only the secret's digest is stored."""

    alias = models.CharField(max_length=255)
    secret_digest = models.BinaryField(max_length=32, editable=False, help_text="SHA-256 of the secret as it is sent")
    paused = models.BooleanField(default=False, help_text="refused work from its next call on")
    created = models.DateTimeField(db_default=Now(), editable=False)

    # DRF reads this attribute of request.user.
    is_authenticated = True

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=~Q(alias=""), name="worker_alias_filled")]

    def __str__(self) -> str:
        return self.alias


class OperatorMark(models.Model):
    """A manager takes this worker for one of an operator's: their votes on a task of the project count once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="operator_marks", db_index=False)
    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="operator_marks")
    operator = models.CharField(max_length=100, help_text="what the manager calls the operator")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["project", "worker"], name="operatormark_one_per_worker"),
            models.CheckConstraint(condition=~Q(operator=""), name="operatormark_operator_filled"),
        ]
        indexes = [models.Index(fields=["project", "operator", "worker"], name="operatormark_of_operator")]

    def __str__(self) -> str:
        return f"worker {self.worker_id} of {self.operator} in project {self.project_id}"


class WorkerAccess(models.Model):
    """What one worker may do in one project, and its pending request."""

    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="accesses")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="accesses")
    assign = models.BooleanField(default=False, help_text="granted: may lease")
    submit = models.BooleanField(default=False, help_text="granted: may submit, and lease as well")
    wants_assign = models.BooleanField(default=False, help_text="asked for, waiting for a manager")
    wants_submit = models.BooleanField(default=False, help_text="asked for, waiting for a manager")
    asked = models.DateTimeField(null=True, blank=True, help_text="when it last asked; null: never, granted unasked")

    class Meta:
        default_permissions = ()
        constraints = [
            # The project comes first: a project's workers are listed by it alone, one worker's row is found by both.
            models.UniqueConstraint(fields=["project", "worker"], name="workeraccess_one_per_project"),
        ]

    def __str__(self) -> str:
        return f"worker {self.worker_id} in project {self.project_id}"

    @property
    def is_pending(self) -> bool:
        """Whether a request is waiting for a manager's decision."""
        return self.wants_assign or self.wants_submit
