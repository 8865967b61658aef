"""The scheduler: does the chores of all apps, each at its interval, however many schedulers run.

Each chore has a row that says when it is due. A scheduler takes the row's lock, does one batch, and commits both
together, so a chore is never done twice at a time and a crash gives its row back. The lock is a row's and lasts a
transaction, not a session's: it works through a connection pooler, too. The queue doesn't depend on any of this being
prompt: a lease that finds nothing else picks up what has expired by itself.
"""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from tracker import db
from tracker.models import Chore

logger = logging.getLogger("tracker.scheduler")

TICK_SECONDS = 1.0
FAILED_SECONDS = 60


class Duty(NamedTuple):
    """A chore: the function's dotted path and how often it is due, in seconds.

    The function does one batch and returns how many rows it moved; it is called again until that is 0.
    """

    path: str
    seconds: float

    @property
    def function(self) -> Callable[[], int]:
        return import_string(self.path)  # type: ignore[no-any-return]


DUTIES = (
    # An expired lease is promised back within 10 s.
    Duty("tasks.chores.expire_leases", 5),
    Duty("tasks.chores.fold_closed", 10),
    Duty("tasks.chores.forget_closed", 60),
    Duty("tasks.chores.take_snapshots", settings.SNAPSHOT_SECONDS),
    Duty("tasks.chores.drop_snapshots", 3600),
    Duty("tracker.cache.drop_expired_counters", 600),
    Duty("logs.services.drop_old_entries", 3600),
)


def run(stop: threading.Event, *, duties: tuple[Duty, ...] = DUTIES) -> None:
    """Do what is due until `stop` is set. Survives a database that goes away."""
    registered = False
    while not stop.is_set():
        try:
            if not registered:
                register(duties)
                registered = True
            do_due(duties, stop)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database did not answer, trying again: %s", str(error).strip().split("\n")[0])
            connection.close()
        stop.wait(TICK_SECONDS)


def register(duties: tuple[Duty, ...]) -> None:
    """Make sure that each chore has its row."""
    Chore.objects.bulk_create([Chore(name=duty.path) for duty in duties], ignore_conflicts=True)


def do_due(duties: tuple[Duty, ...], stop: threading.Event) -> None:
    """Do every chore that is due, batch after batch, until none is or `stop` is set.

    A chore that fails is logged and put off; the others go on. Raises OperationalError and InterfaceError when the
    database is away.
    """
    due = set(Chore.objects.filter(next_at__lte=Now()).values_list("name", flat=True))
    for duty in duties:
        try:
            while duty.path in due and not stop.is_set() and do_batch(duty):
                pass
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("The chore %s failed; it is put off for %d seconds.", duty.path, FAILED_SECONDS)
            db.affected(PUT_OFF, {"chore": duty.path, "seconds": FAILED_SECONDS})


def do_batch(duty: Duty) -> bool:
    """Do one batch of a chore, if it is due and nobody else is at it. Returns whether there may be more to do."""
    with transaction.atomic():
        if db.one(TAKE, {"chore": duty.path}) is None:
            return False
        moved = duty.function()
        if not moved:
            db.affected(DONE, {"chore": duty.path, "seconds": duty.seconds})
        return moved > 0


TAKE = "SELECT name FROM tracker_chore WHERE name = %(chore)s AND next_at <= now() FOR UPDATE SKIP LOCKED"

DONE = """
UPDATE tracker_chore SET next_at = now() + make_interval(secs => %(seconds)s), last_done = now()
WHERE name = %(chore)s
"""

PUT_OFF = "UPDATE tracker_chore SET next_at = now() + make_interval(secs => %(seconds)s) WHERE name = %(chore)s"
