"""The scheduler: runs the periodic jobs of all apps, each at its interval. Any number of schedulers may run.

Each job has a row in tracker.models.Chore that says when it is due. A scheduler locks the row, does one batch, and
commits both together, so a job never runs twice at once, and a crash releases its row. It is a row lock, held for one
transaction, and not a session-level advisory lock, so it works through a connection pooler. The queue doesn't depend on
any of this being prompt: a lease that finds nothing else picks up expired leases itself.

What must be prompt has no interval and no row: it is looked at several times a second, by a thread of its own, since a
batch of a periodic job may take seconds. These functions skip locked rows, so any number of them may run at once.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from tracker import db
from tracker.models import Chore
from tracker.serve.stopping import Stop

logger = logging.getLogger("tracker.scheduler")

TICK_SECONDS = 1.0
PROMPT_SECONDS = 0.4
FAILED_SECONDS = 60


class Job(NamedTuple):
    """A periodic job: its name, how often it is due in seconds, and the dotted path of its function.

    The function does one batch and returns how many rows it processed; it is called again until that is 0. The name is
    stored in the database and stays when the function moves, so that the schedulers of two versions share one row.
    """

    name: str
    seconds: float
    path: str

    @property
    def function(self) -> Callable[[], int]:
        return import_string(self.path)  # type: ignore[no-any-return]


JOBS = (
    # An expired lease must be reclaimed within 10 s.
    Job("tasks.chores.expire_leases", 5, "tasks.queue.expiry.expire_leases"),
    Job("tasks.chores.fold_closed", 10, "tasks.queue.upkeep.fold_closed"),
    Job("tasks.chores.forget_closed", 60, "tasks.queue.upkeep.forget_closed"),
    Job("tasks.fold_outcomes", 10, "tasks.queue.tallying.fold_outcomes"),
    Job("tasks.rank_by_age", 10, "tasks.queue.ageing.rank_by_age"),
    Job("tasks.forget_attempts", 60, "tasks.queue.tallying.forget_attempts"),
    Job("tasks.forget_failures", 3600, "tasks.queue.tallying.forget_failures"),
    Job("tasks.forget_keys", 10, "tasks.repeating.forget_keys"),
    Job("tasks.drop_tallies", 600, "tasks.queue.tallying.drop_tallies"),
    Job("tasks.chores.take_snapshots", settings.SNAPSHOT_SECONDS, "tasks.queue.upkeep.take_snapshots"),
    Job("tasks.chores.drop_snapshots", 3600, "tasks.queue.upkeep.drop_snapshots"),
    Job("tracker.cache.drop_expired_counters", 600, "tracker.cache.drop_expired_counters"),
    Job("logs.services.drop_old_entries", 3600, "logs.services.drop_old_entries"),
)

# What must be prompt: functions that do one batch and return how many rows they changed, as those of the jobs do, and
# that write nothing when there is nothing to do.
PROMPT = ("tasks.queue.delays.make_due_ready", "tasks.queue.delays.fail_expired")


def run(stop: Stop | threading.Event, *, jobs: tuple[Job, ...] = JOBS, prompt: tuple[str, ...] = PROMPT) -> None:
    """Run due jobs, and what must be prompt, until `stop` is set. Survives the loss of the database."""
    beside = [threading.Thread(target=_run_prompt, args=(stop, prompt), name="prompt", daemon=True)] if prompt else []
    for thread in beside:
        thread.start()
    registered = False

    def once() -> None:
        nonlocal registered
        if not registered:
            register(jobs)
            registered = True
        do_due(jobs, stop)

    _repeat(once, stop, TICK_SECONDS)
    for thread in beside:
        thread.join()


def _repeat(once: Callable[[], None], stop: Stop | threading.Event, seconds: float) -> None:
    """Call it every so many seconds until `stop` is set, also while the database is away."""
    while not stop.is_set():
        try:
            once()
        except Exception as error:
            if not db.is_away(error):
                raise
            logger.warning("The database did not answer, trying again: %s", str(error).strip().split("\n")[0])
            connection.close()
        stop.wait(seconds)


def _run_prompt(stop: Stop | threading.Event, paths: tuple[str, ...]) -> None:
    until: dict[str, float] = {}
    try:
        _repeat(lambda: do_prompt(paths, stop, until), stop, PROMPT_SECONDS)
    finally:
        # It is this thread's.
        connection.close()


def do_prompt(
    paths: tuple[str, ...],
    stop: Stop | threading.Event,
    until: dict[str, float],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Call each of these functions until it finds nothing to do, or `stop` is set.

    One that fails is logged and put off until the time in `until`; the others go on. Raises what `db.is_away` knows.
    """
    for path in paths:
        if clock() < until.get(path, 0.0):
            continue
        function = import_string(path)
        try:
            while not stop.is_set() and function():
                pass
        except Exception as error:
            if db.is_away(error):
                raise
            logger.exception("%s failed; trying again in %d seconds.", path, FAILED_SECONDS)
            until[path] = clock() + FAILED_SECONDS


def register(jobs: tuple[Job, ...]) -> None:
    """Create the rows of jobs that have none."""
    Chore.objects.bulk_create([Chore(name=job.name) for job in jobs], ignore_conflicts=True)


def do_due(jobs: tuple[Job, ...], stop: Stop | threading.Event) -> None:
    """Run every due job, batch after batch, until none is due or `stop` is set.

    A job that fails is logged and postponed; the others go on. Raises what `db.is_away` knows if the database is
    unavailable.
    """
    due = set(Chore.objects.filter(next_at__lte=Now()).values_list("name", flat=True))
    for job in jobs:
        try:
            while job.name in due and not stop.is_set() and do_batch(job):
                pass
        except Exception as error:
            if db.is_away(error):
                raise
            logger.exception("The periodic job %s failed; trying again in %d seconds.", job.name, FAILED_SECONDS)
            db.affected(PUT_OFF, {"chore": job.name, "seconds": FAILED_SECONDS})


def do_batch(job: Job) -> bool:
    """Run one batch of a job, if it is due and no other scheduler runs it. Returns whether there may be more to do."""
    with transaction.atomic():
        if db.one(TAKE, {"chore": job.name}) is None:
            return False
        processed = job.function()
        if not processed:
            db.affected(DONE, {"chore": job.name, "seconds": job.seconds})
        return processed > 0


TAKE = "SELECT name FROM tracker_chore WHERE name = %(chore)s AND next_at <= now() FOR UPDATE SKIP LOCKED"

DONE = """
UPDATE tracker_chore SET next_at = now() + make_interval(secs => %(seconds)s), last_done = now()
WHERE name = %(chore)s
"""

PUT_OFF = "UPDATE tracker_chore SET next_at = now() + make_interval(secs => %(seconds)s) WHERE name = %(chore)s"
