"""What belongs to no app in particular."""

from django.db import models
from django.db.models.functions import Now


class Counter(models.Model):
    """A number that all processes count on and that is forgotten at `expires`; see tracker.cache.

    The table is UNLOGGED: a crash of the database empties it, which only lets everybody start counting anew.
    """

    key = models.TextField(primary_key=True)
    value = models.BigIntegerField()
    expires = models.DateTimeField(null=True, db_index=True, help_text="null: never")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class Chore(models.Model):
    """When a chore of the scheduler is due next. Whoever holds the row's lock does it; see tracker.serve.scheduler."""

    name = models.CharField(primary_key=True, max_length=100)
    next_at = models.DateTimeField(db_default=Now())
    last_done = models.DateTimeField(null=True, help_text="null: never yet")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
