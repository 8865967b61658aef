"""Log entries of workers."""

from datetime import UTC, datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from workers.models import Worker


class Level(models.IntegerChoices):
    """The severity of an entry: the lower, the more severe. Existing clients use these numbers."""

    FATAL = 1
    PANIC = 2
    ERROR = 3
    WARN = 4
    INFO = 5
    DEBUG = 6
    TRACE = 7

    @property
    def is_kept(self) -> bool:
        """Whether entries of this level go to the database, not only to the log file."""
        return self.name.lower() in settings.LOG_KEEP_LEVELS


# A difference between a worker's clock and the database's that is shown.
MUCH_SECONDS = 300


class LogEntry(models.Model):
    """A worker's log entry, of a level in LOG_KEEP_LEVELS."""

    level = models.SmallIntegerField(choices=Level)
    scope = models.TextField(help_text="a category of the worker's choice")
    message = models.TextField()
    timestamp = models.BigIntegerField(help_text="when, by the worker's clock, in Unix seconds")
    # Without an index of its own: logentry_of_worker begins with it.
    worker = models.ForeignKey(
        Worker,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        help_text="null: the worker was deleted",
    )
    # A number, not a foreign key: whether there is such a task is not checked, and tasks come and go.
    task_id = models.BigIntegerField(null=True, help_text="the task that it is about; null: not said")
    received = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(F("received").desc(), F("id").desc(), name="logentry_by_receipt"),
            models.Index(F("worker"), F("received").desc(), F("id").desc(), name="logentry_of_worker"),
            models.Index(
                F("task_id"),
                F("received").desc(),
                F("id").desc(),
                name="logentry_of_task",
                condition=Q(task_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.message

    @property
    def is_off(self) -> bool:
        """Whether the worker's time differs much from that when the entry was received."""
        return abs(self.timestamp - self.received.timestamp()) > MUCH_SECONDS

    @property
    def time(self) -> datetime | None:
        """`timestamp` as a datetime; None if it is out of range."""
        try:
            return datetime.fromtimestamp(self.timestamp, UTC)
        except (OverflowError, ValueError, OSError):
            return None
