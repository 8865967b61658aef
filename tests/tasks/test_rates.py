"""How many leases end per time: tasks.queries.rates."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.models import Attempt, ClosedEntry, ClosedTask, Outcome, OutcomeEntry, ProjectTally
from tasks.queries.rates import HOUR, MINUTE, MOST_POINTS, STEPS, rates, series, step_for
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
#: A time in the middle of a minute.
NOW = NOON + timedelta(seconds=20)


def tally(project, minutes_ago, **counts):
    """A minute's tally; 0 is the minute in which NOW is."""
    return ProjectTally.objects.create(project=project, minute=NOON - timedelta(minutes=minutes_ago), **counts)


def closing(project, seconds_ago, count=1, worker=1):
    at = NOW - timedelta(seconds=seconds_ago)
    return ClosedEntry.objects.create(project=project, worker_id=worker, count=count, duration=0, at=at)


def ending(project, seconds_ago, outcome):
    at = NOW - timedelta(seconds=seconds_ago)
    return OutcomeEntry.objects.create(project=project, worker_id=1, outcome=outcome, at=at)


def of(project, at=NOW):
    return rates([project], at=at)[project.pk]


def test_it_works(project):
    tally(project, 300, closed=1)
    tally(project, 30, closed=100, failed=10, expired=3, skipped=50)
    tally(project, 0, closed=7, failed=1)
    closing(project, 2, count=5)
    ending(project, 2, Outcome.FAILED)
    for outcome in (Outcome.SKIPPED, Outcome.VOTED, Outcome.AGREED, Outcome.RECLAIMED):
        ending(project, 2, outcome)
    ending(project, 1, Outcome.EXPIRED)
    found = of(project)
    assert found.minute == (MINUTE, 12, 2, 1)
    assert found.hour == (HOUR, 112, 12, 4)
    assert found.minute.rate == 12 / 60
    assert found.began == NOON - timedelta(minutes=300)


def test_of_the_minute_in_which_the_period_begins_a_part_counts(project):
    tally(project, 300)
    tally(project, 1, closed=60, failed=6, expired=3)
    tally(project, 60, closed=60)
    # The last minute begins 20 s after the tally's minute, so 40 of its 60 s are within.
    assert of(project).minute == (MINUTE, pytest.approx(40), pytest.approx(4), pytest.approx(2))
    assert of(project).hour.closed == pytest.approx(60 + 40)


@pytest.mark.parametrize(("second", "part"), [(0, 60), (1, 59), (59, 1)])
def test_the_part_at_other_seconds(project, second, part):
    tally(project, 300)
    tally(project, 1, closed=60)
    tally(project, 60, closed=60)
    found = of(project, NOON + timedelta(seconds=second))
    assert found.minute.closed == pytest.approx(part)
    assert found.hour.closed == pytest.approx(60 + part)


def test_entries_count_to_the_second(project):
    tally(project, 300)
    for seconds in (59, 61, 3599, 3601):
        closing(project, seconds)
        ending(project, seconds, Outcome.FAILED)
    found = of(project)
    assert [period.closed for period in found[1:]] == [1, 3]
    assert [period.failed for period in found[1:]] == [1, 3]


def test_a_project_without_an_ended_lease_has_no_rates(project):
    assert rates([project]) == {}
    assert rates([]) == {}


def test_a_young_project_is_measured_since_its_first_ended_lease(project):
    closing(project, 30, count=15)
    found = of(project)
    assert found.began == NOW - timedelta(seconds=30)
    for period in found[1:]:
        assert (period.seconds, period.closed) == (30, 15)
    assert found.hour.rate == 0.5


def test_the_first_seconds_make_no_huge_rate(project):
    closing(project, 0.1, count=100)
    assert of(project).minute.rate == 10


@pytest.mark.parametrize("ended", ["closed", "failed"])
def test_the_first_minute_is_known_to_the_second(project, ended):
    """What was folded tells only the minute; the closed task or the attempt, when in it."""
    first = NOON - timedelta(seconds=15)
    if ended == "closed":
        times = dict.fromkeys(("created", "assign_time", "closed"), first)
        ClosedTask.objects.create(
            id=5, project=project, worker_id=1, priority=0, retries=0, verification=0, voters=[], votes=[], **times
        )
    else:
        attempt(project, first)
    tally(project, 1, closed=10)
    tally(project, 0, closed=25)
    found = of(project)
    assert found.began == first
    assert found.minute == (35, 35, 0, 0)
    # 10 s of the first minute's 15 are in the last 30.
    later = of(project, NOW + timedelta(seconds=30))
    assert later.minute == (60, pytest.approx(25 + 10 * 10 / 15), 0, 0)


def test_rows_that_do_not_tell_of_the_first_minute(project):
    """The closed tasks of the first minute have been deleted, or there are older ones than tallies."""
    tally(project, 5, closed=32)
    attempt(project, NOON - timedelta(minutes=2))
    assert of(project).began == NOON - timedelta(minutes=5)
    assert of(project).hour.seconds == 5 * 60 + 20
    attempt(project, NOON - timedelta(days=2))
    assert of(project).began == NOON - timedelta(minutes=5)


def test_a_failure_that_was_not_folded_is_older_than_the_first_minute(project):
    tally(project, 0, closed=1)
    ending(project, 30, Outcome.FAILED)
    assert of(project).began == NOW - timedelta(seconds=30)


def test_several_at_once(project):
    other, idle = ProjectFactory(), ProjectFactory()
    tally(project, 0, closed=1)
    tally(other, 0, closed=2)
    closing(other, 1, count=4)
    found = rates([project, other, idle], at=NOW)
    assert {key: one.hour.closed for key, one in found.items()} == {project.pk: 1, other.pk: 6}


def test_by_the_database_clock(project):
    ClosedEntry.objects.create(project=project, worker_id=1, count=3, duration=0)
    assert rates([project])[project.pk].minute.closed == 3


def test_series(project):
    tally(project, 61, closed=1000)
    tally(project, 60, closed=1)
    tally(project, 2, closed=2, failed=3, expired=4, skipped=9)
    tally(project, 0, closed=5)
    closing(project, 1, count=6)
    ending(project, 70, Outcome.FAILED)
    ending(project, 70, Outcome.SKIPPED)
    found = series(project, begin=NOW.timestamp() - HOUR, end=NOW.timestamp())
    noon = int(NOON.timestamp())
    assert found.step == 60
    assert found.times == list(range(noon - 3600, noon + 1, 60))
    assert [found.closed[n] for n in (0, -3, -1)] == [1, 2, 11]
    assert sum(found.closed) == 14
    assert (found.failed[-3], found.failed[-2], sum(found.failed)) == (3, 1, 4)
    assert (found.expired[-3], sum(found.expired)) == (4, 4)


def test_longer_steps(project):
    for minutes in (0, 4, 5, 11, 14 * 60):
        tally(project, minutes, closed=1)
    found = series(project, begin=NOW.timestamp() - 86_400, end=NOW.timestamp())
    assert found.step == 600
    assert found.closed[-3:] == [1, 2, 1]
    assert sum(found.closed) == 5


def test_what_ends_while_the_statement_begins_belongs_to_the_last_step(project):
    closing(project, -45, count=2)
    closing(project, 5)
    found = series(project, begin=NOW.timestamp() - 60, end=NOW.timestamp())
    assert found.closed == [0, 3]


def test_a_series_of_a_moment(project):
    assert series(project, begin=NOW.timestamp(), end=NOW.timestamp()).closed == [0]


@pytest.mark.parametrize("seconds", [0, 60, HOUR, 11_880, 86_400, 7 * 86_400, 400 * HOUR, 876_000 * HOUR])
def test_a_series_has_few_points(seconds):
    assert step_for(seconds) in STEPS
    # One more, because the period seldom begins with a step.
    assert seconds / step_for(seconds) + 1 < MOST_POINTS


def attempt(project, ended):
    return Attempt.objects.create(
        project=project,
        task_id=1,
        worker_id=1,
        lease="00000000-0000-0000-0000-000000000000",
        began=ended,
        ended=ended,
        outcome=Outcome.FAILED,
        version="",
    )
