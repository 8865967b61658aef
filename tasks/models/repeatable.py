"""What was answered to calls that may be repeated; see tasks.repeating."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Repeatable(models.Model):
    """A worker's call with an Idempotency-Key, and what the database answered to it.

    There is no foreign key: the row is deleted a little more than ten minutes after the call, whatever becomes of the
    worker.
    """

    pk = models.CompositePrimaryKey("worker_id", "key")
    worker_id = models.BigIntegerField()
    key = models.CharField(max_length=64, db_collation="C")
    request = models.BinaryField(help_text="the SHA-256 of method, address and body")
    answers = ArrayField(models.TextField(), help_text="the rows of each of its statements, as JSON")
    at = models.DateTimeField(db_default=Now(), help_text="when the last of them was added")

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["at"], name="repeatable_by_time")]

    def __str__(self) -> str:
        return f"{self.key} of worker {self.worker_id}"
