"""The scheduler: periodic jobs, each at its interval and in one scheduler at a time."""

import contextlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from tests.clock import Clock, now
from tests.processes import PATIENCE_SECONDS
from tracker import db
from tracker.models import Chore
from tracker.serve import scheduler
from tracker.serve.scheduler import JOBS, Job, do_batch, do_due, do_prompt, register, run

pytestmark = pytest.mark.django_db

CHORE = Job("chore", 60, f"{__name__}.chore")
OTHER = Job("other chore", 60, f"{__name__}.other_chore")


def chore():
    """Replaced by each test."""


def other_chore():
    """Replaced by each test."""


@pytest.fixture
def given(monkeypatch):
    """Replaces the jobs' functions and creates due rows. A list holds the results of successive calls; then 0."""

    def give(**functions):
        for name, does in functions.items():
            batches = iter(does) if isinstance(does, list) else None
            monkeypatch.setattr(sys.modules[__name__], name, does if batches is None else lambda b=batches: next(b, 0))
        register((CHORE, OTHER))
        Chore.objects.update(next_at="2020-01-01T00:00:00Z")

    return give


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr(scheduler, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(scheduler, "PROMPT_SECONDS", 0.01)


def seconds_until_due(job=CHORE):
    (seconds,) = db.one(
        "SELECT extract(epoch FROM next_at - now())::float FROM tracker_chore WHERE name = %(name)s",
        {"name": job.name},
    )
    return seconds


def is_due(job=CHORE):
    return seconds_until_due(job) <= 0


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_job_names_a_function_that_counts_rows(job):
    assert job.function() == 0
    assert job.seconds > 0
    assert len(job.name) <= Chore._meta.get_field("name").max_length


def test_job_names_are_unique():
    assert len({job.name for job in JOBS}) == len(JOBS)


def test_expired_leases_are_back_within_ten_seconds():
    (job,) = (job for job in JOBS if job.name == "tasks.chores.expire_leases")
    assert job.seconds + scheduler.TICK_SECONDS < 10


def test_registering_creates_jobs_that_are_due_and_were_never_done():
    register((CHORE, OTHER))
    assert list(Chore.objects.order_by("name").values_list("name", "last_done")) == [
        (CHORE.name, None),
        (OTHER.name, None),
    ]
    assert Chore.objects.filter(next_at__lte=Now()).count() == 2


def test_registering_again_changes_nothing():
    register((CHORE,))
    Chore.objects.update(next_at=Now() + timedelta(seconds=50), last_done=Now())
    before = Chore.objects.values().get()
    register((CHORE, OTHER))
    assert Chore.objects.filter(name=CHORE.name).values().get() == before
    assert Chore.objects.count() == 2


def test_job_that_processed_nothing_is_done_for_now(given):
    given(chore=[0])
    assert do_batch(CHORE) is False
    assert 59 < seconds_until_due() <= 60
    assert Chore.objects.get(name=CHORE.name).last_done is not None


def test_job_that_processed_something_stays_due(given):
    given(chore=[5])
    assert do_batch(CHORE) is True
    assert is_due()
    assert Chore.objects.get(name=CHORE.name).last_done is None


def test_interval_may_be_a_fraction_of_a_second(given):
    given(chore=[0])
    do_batch(CHORE._replace(seconds=0.5))
    assert 0 < seconds_until_due() <= 0.5


def test_job_that_is_not_due_is_not_done(given):
    given(chore=[5])
    Chore.objects.update(next_at=Now() + timedelta(seconds=50))
    assert do_batch(CHORE) is False
    assert 49 < seconds_until_due() <= 51
    assert chore() == 5


def test_job_without_a_row_is_not_done(given):
    given(chore=[5])
    Chore.objects.all().delete()
    assert do_batch(CHORE) is False
    assert chore() == 5


def test_goes_on_until_nothing_is_left(given, stop):
    moved = []
    given(chore=[5, 5, 1], other_chore=lambda: len(moved.append("other") or ()))
    do_due((CHORE, OTHER), stop)
    assert chore() == 0
    assert moved == ["other"]
    assert (is_due(CHORE), is_due(OTHER)) == (False, False)


def test_does_only_what_is_due(given, stop):
    done = []
    given(chore=lambda: done.append("chore") or 0, other_chore=lambda: done.append("other") or 0)
    Chore.objects.filter(name=CHORE.name).update(next_at=Now() + timedelta(seconds=50))
    do_due((CHORE, OTHER), stop)
    assert done == ["other"]


def test_jobs_that_were_not_given_are_left_alone(given, stop):
    given(chore=[0])
    do_due((CHORE,), stop)
    assert is_due(OTHER)


def test_stop_ends_it_between_two_batches(given, stop):
    batches = []

    def endless():
        batches.append(1)
        if len(batches) == 3:
            stop.set()
        return 1

    given(chore=endless, other_chore=endless)
    do_due((CHORE, OTHER), stop)
    assert len(batches) == 3
    assert (is_due(CHORE), is_due(OTHER)) == (True, True)


def test_failing_job_is_rolled_back_and_stays_due(given):
    def half_done():
        Chore.objects.filter(name=OTHER.name).delete()
        raise DatabaseError("broken")

    given(chore=half_done)
    with pytest.raises(DatabaseError, match="broken"):
        do_batch(CHORE)
    assert is_due()
    assert Chore.objects.count() == 2
    given(chore=[0])
    assert do_batch(CHORE) is False
    assert not is_due()


@pytest.mark.django_db(transaction=True)
def test_job_never_runs_twice_at_once(given, racing):
    inside, leave = threading.Event(), threading.Event()
    calls = []

    def slow():
        calls.append(1)
        inside.set()
        assert leave.wait(PATIENCE_SECONDS)
        return 0

    def second():
        assert inside.wait(PATIENCE_SECONDS)
        try:
            return do_batch(CHORE), do_batch(OTHER)
        finally:
            leave.set()

    given(chore=slow, other_chore=[5])
    # The other job is free.
    assert racing([lambda: do_batch(CHORE), second]) == [False, (False, True)]
    assert calls == [1]


@pytest.mark.django_db(transaction=True)
def test_racing_schedulers_do_each_batch_once(given, racing, stop):
    left = list(range(40))

    def take():
        if not left:
            return 0
        left.pop()
        return 1

    given(chore=take)
    assert racing([lambda: do_due((CHORE,), stop)] * 4) == [None] * 4
    assert left == []


@pytest.mark.django_db(transaction=True)
def test_row_is_free_again_after_a_failure(given, racing):
    def fail():
        raise ValueError("broken")

    given(chore=fail)
    (outcome,) = racing([lambda: do_batch(CHORE)])
    assert isinstance(outcome, ValueError)
    given(chore=[0])
    assert do_batch(CHORE) is False
    assert not is_due()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_quick")
def test_run_registers_and_works_until_stopped(given, stop):
    done = []
    given(chore=lambda: done.append(1) or 0, other_chore=lambda: stop.set() or 0)
    Chore.objects.all().delete()
    run(stop, jobs=(CHORE, OTHER), prompt=())
    assert done == [1]
    assert (is_due(CHORE), is_due(OTHER)) == (False, False)


def test_run_that_is_stopped_already_does_nothing(stop):
    stop.set()
    run(stop, prompt=())
    assert not Chore.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_stop_ends_the_wait_between_two_ticks(given, monkeypatch):
    # Longer than a test may take.
    monkeypatch.setattr(scheduler, "TICK_SECONDS", 86400)
    given(chore=[0])
    waits = []

    class StoppedWhileItWaits(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            with ThreadPoolExecutor(1) as other:
                other.submit(self.set)
                return super().wait(timeout)

    run(StoppedWhileItWaits(), jobs=(CHORE,), prompt=())
    assert waits == [86400]
    assert not is_due()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_quick")
def test_survives_a_lost_connection(given, stop, caplog):
    calls = []

    def lose_connection_once():
        calls.append(1)
        if len(calls) == 1:
            db.one("SELECT pg_terminate_backend(pg_backend_pid())")
        stop.set()
        return 0

    given(chore=lose_connection_once)
    run(stop, jobs=(CHORE,), prompt=())
    assert len(calls) == 2
    assert not is_due()
    (record,) = caplog.records
    assert "The database did not answer" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_quick")
def test_survives_a_connection_that_is_lost_while_it_waits(given, caplog):
    calls = []

    class Losing(threading.Event):
        def wait(self, timeout=None):
            if len(calls) == 1 and not caplog.records:
                ours = db.one("SELECT pg_backend_pid()")
                with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s, 10000)", ours)
            return super().wait(timeout)

    stop = Losing()

    def count():
        calls.append(1)
        if len(calls) == 2:
            stop.set()
        return 0

    given(chore=count)
    run(stop, jobs=(CHORE._replace(seconds=0),), prompt=())
    assert len(calls) == 2
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["The database did not answer"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_quick")
def test_survives_a_database_that_is_away_at_the_start(given, stop, monkeypatch):
    attempts = []

    def away_once(jobs):
        attempts.append(1)
        if len(attempts) == 1:
            raise OperationalError("connection refused")
        register(jobs)

    given(chore=lambda: stop.set() or 0)
    monkeypatch.setattr(scheduler, "register", away_once)
    run(stop, jobs=(CHORE,), prompt=())
    assert len(attempts) == 2
    assert not is_due()
    connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [DatabaseError, ValueError, RecursionError])
def test_failing_job_is_postponed_and_the_others_are_done(given, stop, caplog, error):
    def fail():
        raise error("broken")

    given(chore=fail, other_chore=[5, 0])
    began = now()
    do_due((CHORE._replace(seconds=3600), OTHER), stop)
    ended = now()
    put_off, done = (Chore.objects.get(name=job.name) for job in (CHORE, OTHER))
    assert began <= put_off.next_at - timedelta(seconds=scheduler.FAILED_SECONDS) <= ended
    assert done.next_at - done.last_done == timedelta(seconds=60)
    assert Chore.objects.get(last_done=None).name == CHORE.name
    (record,) = caplog.records
    assert CHORE.name in record.getMessage()
    assert record.exc_info[0] is error


# What must be prompt


def prompt_one():
    """Replaced by each test."""


def prompt_other():
    """Replaced by each test."""


PROMPT = (f"{__name__}.prompt_one", f"{__name__}.prompt_other")


@pytest.fixture
def prompt(monkeypatch):
    """Replaces the two functions. A list holds the results of successive calls; then 0."""

    def give(**functions):
        for name, does in functions.items():
            batches = iter(does) if isinstance(does, list) else None
            monkeypatch.setattr(sys.modules[__name__], name, does if batches is None else lambda b=batches: next(b, 0))

    return give


def test_prompt_functions_are_called_until_they_find_nothing(prompt, stop):
    calls = []
    prompt(prompt_one=[5, 3], prompt_other=lambda: calls.append(1))
    do_prompt(PROMPT, stop, {})
    assert prompt_one() == 0
    assert calls == [1]


def test_a_prompt_function_that_fails_is_put_off(prompt, stop, caplog):
    calls, clock, until = [], Clock(), {}

    def fail():
        calls.append(1)
        raise ValueError

    prompt(prompt_one=fail, prompt_other=[1])
    for _ in range(3):
        do_prompt(PROMPT, stop, until, clock)
    assert prompt_other() == 0
    assert calls == [1]
    assert "trying again in 60 seconds" in caplog.text
    clock.now += scheduler.FAILED_SECONDS
    do_prompt(PROMPT, stop, until, clock)
    assert calls == [1, 1]


def test_prompt_functions_stop(prompt, stop):
    stop.set()
    prompt(prompt_one=lambda: 1, prompt_other=lambda: 1)
    do_prompt(PROMPT, stop, {})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_quick")
def test_prompt_functions_run_beside_a_long_batch(given, prompt, stop):
    """And survive the loss of the database."""
    done = threading.Event()
    losses = [OperationalError("gone")]

    def look():
        if losses:
            raise losses.pop()
        done.set()
        return 0

    def long_batch():
        assert done.wait(PATIENCE_SECONDS)
        stop.set()
        return 0

    given(chore=long_batch)
    prompt(prompt_one=look)
    run(stop, jobs=(CHORE,), prompt=PROMPT[:1])
    assert done.is_set()


@pytest.mark.parametrize("path", scheduler.PROMPT)
def test_prompt_names_a_function_that_writes_nothing_when_idle(path):
    assert import_string(path)() == 0
    assert db.one("SELECT pg_current_xact_id_if_assigned()") == (None,)
