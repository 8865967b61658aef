"""Models that belong to no app in particular."""

from django.db import models
from django.db.models.functions import Now


class Counter(models.Model):
    """A counter that all processes share until it expires at `expires`; see tracker.cache.

    The table is UNLOGGED: a crash of the database empties it, which only resets the counters.
    """

    key = models.TextField(primary_key=True)
    value = models.BigIntegerField()
    expires = models.DateTimeField(null=True, db_index=True, help_text="null: never")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class Chore(models.Model):
    """When a periodic job is due next. The scheduler that holds the row lock runs it; see tracker.serve.scheduler."""

    name = models.CharField(primary_key=True, max_length=100)
    next_at = models.DateTimeField(db_default=Now())
    last_done = models.DateTimeField(null=True, help_text="null: never yet")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
