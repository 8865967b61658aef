"""Projects: queues with their settings, managers' roles, rate limits and snapshots."""

import math
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase
from guardian.shortcuts import get_objects_for_user

from projects.roles import CODENAMES, Role
from tracker import names

if TYPE_CHECKING:
    from accounts.models import User


def check_name(name: str) -> None:
    """Raise ValidationError unless a project may be called so."""
    problem = names.problem_with(name)
    if problem is not None:
        raise ValidationError(problem)


# Per second. Beyond these limits, the times computed from a rate are not valid timestamps.
LOWEST_RATE, HIGHEST_RATE = 1e-6, 1e9
LONGEST_RETENTION_DAYS = 36_500

#: How far a project's workers may extend a lease unless it is set: a day.
LONGEST_LEASE_SECONDS = 86_400


#: The longest delay before a task is tried again, in seconds: a week.
LONGEST_DELAY = 7 * 86_400

#: Bytes in UTF-8: each leased task comes with it.
LONGEST_MOTD = 10_000

#: The secret for the workers of a project in which nobody has set one.
NO_SECRET = "{}"  # noqa: S105


def random_secret() -> str:
    """A webhook secret: 32 random bytes."""
    return secrets.token_urlsafe(32)


def check_rate(rate: float) -> None:
    """Raise ValidationError unless the rate is a number of tokens per second, 0 for unlimited."""
    if not (math.isfinite(rate) and rate >= 0):
        raise ValidationError(f"must be 0 (unlimited) or a number of tasks per second, not {rate}.")
    if rate > HIGHEST_RATE or 0 < rate < LOWEST_RATE:
        raise ValidationError(f"must be 0 (unlimited) or from {LOWEST_RATE:f} to {HIGHEST_RATE:.0f}, not {rate}.")


def check_motd(motd: str) -> None:
    """Raise ValidationError for a message that is too long to be sent with each task."""
    if len(motd.encode()) > LONGEST_MOTD:
        raise ValidationError("must be at most 10,000 bytes long in UTF-8; link to a page that says more.")


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, viewer: "User | AnonymousUser") -> "ProjectQuerySet":
        """The projects that the viewer may know of: all but hidden projects in which it lacks READ."""
        from projects.roles import Role

        if not viewer.is_authenticated:
            return self.filter(hidden=False)
        return self.filter(Q(hidden=False) | Q(pk__in=Project.objects.with_role(viewer, Role.READ).values("pk")))

    def called(self, name: str) -> "Project | None":
        """The project with this name or, if there is none, with one that counts as the same (tracker.names.key_of)."""
        found = self.filter(Q(name=name) | Q(name_key=names.key_of(name)))
        return min(found, key=lambda project: project.name != name, default=None)

    def with_role(self, viewer: "User | AnonymousUser", role: Role) -> "ProjectQuerySet":
        """The projects in which the viewer has this role, directly or through a group; all for a tracker admin."""
        if not viewer.is_authenticated:
            return self.none()
        return cast(
            ProjectQuerySet,
            get_objects_for_user(viewer, f"projects.{CODENAMES[role]}", self, accept_global_perms=False),
        )


class Backoff(models.TextChoices):
    """How the delay before a task is tried again grows with the number of its FAILs."""

    NONE = "none", "at once"
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Project(models.Model):
    """A queue of tasks and everything a worker has to know to work on them."""

    name = models.CharField(max_length=200, validators=[check_name])
    name_key = models.TextField(  # noqa: DJ001
        null=True,
        editable=False,
        help_text="what is compared instead of the name; null: written by a version without keys",
    )
    priority = models.PositiveIntegerField(default=0, help_text="higher first, where workers may choose")
    clone_url = models.CharField(max_length=2000, blank=True, default="", help_text="where workers clone the code from")
    git_repo = models.CharField(
        max_length=500, blank=True, default="", help_text="the repository's full name, by which pushes are matched"
    )
    version = models.CharField(max_length=200, blank=True, default="", help_text="the commit that workers should run")
    production_branch = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="pushes to it set the version; empty: the repository's default branch, or master, or main",
    )
    motd = models.TextField("message of the day", blank=True, default="", validators=[check_motd])
    public = models.BooleanField(default=False, help_text="every worker may lease")
    hidden = models.BooleanField(default=False, help_text="nobody without a role or a grant learns that it exists")
    paused = models.BooleanField(default=False, help_text="no task is leased")
    chain = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="chained_from",
        help_text="where a copy of each closed task goes; null: nowhere",
    )
    assign_rate = models.FloatField(default=0, validators=[check_rate], help_text="leases per second, 0 = unlimited")
    submit_rate = models.FloatField(
        default=0, validators=[check_rate], help_text="submitted tasks per second, 0 = unlimited"
    )
    lease_seconds = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1)],
        help_text="how long a lease lasts for tasks whose own max_assign_time is 0",
    )
    max_lease_seconds = models.PositiveIntegerField(
        default=LONGEST_LEASE_SECONDS,
        db_default=LONGEST_LEASE_SECONDS,
        validators=[MinValueValidator(1)],
        help_text="how many seconds from now a worker's heartbeat may extend a lease to at most",
    )
    max_leases = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="how many tasks a worker may hold at once, 0 = 1,000 if the project is public, else 10,000",
    )
    max_expiries = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="how many leases of a task may expire before it is FAILED, 0 = any number",
    )
    retry_backoff = models.CharField(
        max_length=11,
        choices=Backoff,
        default=Backoff.NONE,
        db_default=Backoff.NONE,
        help_text="how the delay before the next attempt grows with the number of FAILs",
    )
    retry_seconds = models.PositiveIntegerField(
        default=60,
        db_default=60,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_DELAY)],
        help_text="the delay after the first FAIL",
    )
    retry_max_seconds = models.PositiveIntegerField(
        default=3600,
        db_default=3600,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_DELAY)],
        help_text="the longest delay",
    )
    retry_jitter = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        validators=[MaxValueValidator(100)],
        help_text="by up to how many percent a delay is shortened at random",
    )
    max_votes = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="how many workers may verify a task without enough agreeing before it is FAILED, 0 = any number",
    )
    ageing_seconds = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="each time that a task has waited so long, its place is that of the next higher priority, 0 = never",
    )
    retention_days = models.PositiveIntegerField(
        default=7,
        validators=[MaxValueValidator(LONGEST_RETENTION_DAYS)],
        help_text="how long closed tasks are kept, 0 = forgotten at once",
    )
    secret = models.TextField(default=NO_SECRET, help_text="what workers with ASSIGN may read: passwords, keys")
    webhook_secret = models.TextField(default=random_secret, help_text="signs the git host's pushes")
    created = models.DateTimeField(db_default=Now(), editable=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        # The roles that a manager can have; see projects.roles.
        permissions = [
            ("read_project", "READ: sees the project although it is hidden"),
            ("edit_project", "EDIT: changes its settings"),
            ("manage_access_project", "MANAGE_ACCESS: lets workers and managers in"),
            ("secret_project", "SECRET: reads and changes its secrets"),
            ("maintain_project", "MAINTENANCE: resets and reclaims its tasks"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="project_name_unique"),
            models.UniqueConstraint(fields=["name_key"], name="project_name_key_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="project_name_filled"),
            models.CheckConstraint(condition=~Q(public=True, hidden=True), name="project_not_public_and_hidden"),
            models.CheckConstraint(
                condition=Q(assign_rate__range=(0, HIGHEST_RATE), submit_rate__range=(0, HIGHEST_RATE)),
                name="project_rates_in_range",
            ),
            models.CheckConstraint(condition=Q(lease_seconds__gt=0), name="project_lease_not_empty"),
            models.CheckConstraint(condition=Q(max_lease_seconds__gt=0), name="project_max_lease_not_empty"),
            models.CheckConstraint(
                condition=Q(retention_days__lte=LONGEST_RETENTION_DAYS), name="project_retention_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        if update_fields is None or "name" in update_fields:
            self.name_key = names.key_for(self.name, self.name_key, is_new=self._state.adding)
            update_fields = None if update_fields is None else {*update_fields, "name_key"}
        super().save(*args, update_fields=update_fields, **options)


class ProjectUserObjectPermission(UserObjectPermissionBase):
    """One role of one manager in one project. django-guardian uses this table instead of its generic one."""

    content_object = models.ForeignKey(Project, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class ProjectGroupObjectPermission(GroupObjectPermissionBase):
    """One role of a group of managers in one project."""

    content_object = models.ForeignKey(Project, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        default_permissions = ()


class RateBucket(models.Model):
    """A project's token bucket of one kind, with burst 1: the next token is available at `next_at`.

    A call that takes n tokens moves `next_at` to n/rate seconds from now, so calls after a large batch wait longer.
    This is the only row that all workers of a project write, and only projects with a rate limit have it.
    """

    class Kind(models.TextChoices):
        ASSIGN = "assign"
        SUBMIT = "submit"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=6, choices=Kind)
    next_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["project", "kind"], name="ratebucket_one_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind} of project {self.project_id}"


class Snapshot(models.Model):
    """A project's task counts at one moment, taken by the scheduler and kept for SNAPSHOT_KEEP_HOURS."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots", db_index=False)
    taken = models.DateTimeField(db_default=Now())
    new_task_count = models.BigIntegerField(help_text="neither failed nor closed; leased and delayed ones count")
    failed_task_count = models.BigIntegerField()
    closed_task_count = models.BigIntegerField(help_text="over all time")
    awaiting_verification_count = models.BigIntegerField(help_text="of the new ones, those that somebody has verified")
    worker_access_count = models.BigIntegerField(help_text="workers that were granted anything")
    leased_task_count = models.BigIntegerField(db_default=0, help_text="of the new ones, those that a worker holds")
    delayed_task_count = models.BigIntegerField(db_default=0, help_text="of the new ones, those that wait for a time")
    oldest_ready = models.DateTimeField(null=True, help_text="since when the oldest ready task waits; null: none does")
    version = models.CharField(max_length=200, db_default="", help_text="the project's version at that moment")

    class Meta:
        default_permissions = ()
        indexes = [models.Index(F("project"), F("taken").desc(), name="snapshot_newest")]

    def __str__(self) -> str:
        return f"project {self.project_id} at {self.taken:%Y-%m-%d %H:%M:%S}"
