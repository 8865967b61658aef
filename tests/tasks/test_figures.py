"""The figures of workers, whether folded or not."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tasks import queue
from tasks.marks import Mark
from tasks.models import ClosedEntry, ClosedTotal, Outcome, OutcomeEntry, WorkerTally
from tasks.queries import figures, worker_stats
from tasks.queries.figures import Order, Period
from tasks.queue.expiry import expire_leases
from tasks.queue.tallying import fold_outcomes
from tasks.queue.upkeep import fold_closed
from tests.factories import ProjectFactory, TaskFactory, expire, register
from tests.tasks.test_plans import nodes
from tracker.api.paging import NotInTheList

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)


@pytest.fixture(params=["folded", "partly", "entries"])
def fold(request):
    """What the scheduler has folded when it is asked: everything, half of it, nothing."""

    def run(*, half=False):
        if request.param == "folded" or (half and request.param == "partly"):
            while fold_closed() + fold_outcomes():
                pass

    return run


def report(project, worker, result, *, told=None, verification=0):
    task = queue.lease(worker=worker.worker, project=project)
    queue.release(worker=worker.worker, task_id=task.id, result=result, verification=verification, told=told)


def of(worker, project, period=Period.ALL):
    (found,) = [one for one in figures.of_project(project.pk, period, limit=100)[0] if one.worker == worker.worker.pk]
    assert figures.of_worker(worker.worker.pk, [project.pk], period) == [found]
    return found


def tally(worker, project, hour=None, **numbers):
    if hour is None and "closed" in numbers:
        ClosedTotal.objects.create(project=project, worker=worker.worker, count=numbers["closed"])
    columns = {"seen": hour or timezone.now()} | numbers
    WorkerTally.objects.create(project=project, worker=worker.worker, hour=hour, **columns)


@pytest.mark.parametrize("period", Period)
def test_it_works(project, worker, other_worker, fold, period):
    TaskFactory.create_batch(9, project=project, max_retries=9)
    TaskFactory(project=ProjectFactory())
    for result, seconds in ((OK, 1), (OK, 1), (FAIL, 5), (SKIP, 5)):
        report(project, worker, result, told=f'{{"seconds": {seconds}}}')
    fold(half=True)
    report(project, worker, OK, told='{"seconds": 100}')
    report(project, other_worker, FAIL)
    task = queue.lease(worker=worker.worker, project=project)
    expire(task.id)
    assert expire_leases() == 1
    fold()
    found = of(worker, project, period)
    assert found[:8] == (project.pk, worker.worker.pk, 3, 1, 1, 1, 0, 0)
    assert found.seen is not None
    assert (found.lost, found.ended, found.failed_share) == (2, 5, 0.4)
    assert found.outvoted_share is None
    assert found.median == pytest.approx(1, rel=0.1)
    assert found.p95 == pytest.approx(100, rel=0.1)
    other = of(other_worker, project, period)
    assert other[:8] == (project.pk, other_worker.worker.pk, 0, 1, 0, 0, 0, 0)
    assert (other.median, other.p95) == (None, None)
    (stats, _) = worker_stats()
    assert (stats.id, stats.closed_task_count) == (worker.worker.pk, found.closed)


@pytest.mark.parametrize("period", Period)
def test_votes(project, fold, period):
    workers = [register() for _ in range(3)]
    TaskFactory(project=project, verification_count=2)
    for worker, verification in zip(workers, (1, 2, 1), strict=True):
        report(project, worker, OK, verification=verification)
        fold(half=True)
    numbers = [(one.closed, one.agreed, one.outvoted) for one in (of(worker, project, period) for worker in workers)]
    assert numbers == [(0, 1, 0), (0, 0, 1), (1, 1, 0)]
    assert of(workers[1], project, period).outvoted_share == 1
    # A closing that was a vote is one lease.
    assert of(workers[2], project, period).ended == 1


def test_periods(project, worker, monkeypatch):
    now = datetime(2026, 3, 10, 5, 40, tzinfo=UTC)
    monkeypatch.setattr(figures, "_now", lambda: now)
    for hours, closed in ((0, 1), (5, 10), (6, 100), (24, 1000), (25, 10_000)):
        tally(worker, project, now.replace(minute=0) - timedelta(hours=hours), closed=closed)
    for hours in (0, 10, 30):
        ClosedEntry.objects.create(project=project, worker=worker.worker, count=1, at=now - timedelta(hours=hours))
        OutcomeEntry.objects.create(
            project=project, worker=worker.worker, outcome=Outcome.FAILED, at=now - timedelta(hours=hours)
        )
    tally(worker, project, closed=5)
    assert [of(worker, project, period).closed for period in Period] == [12, 1113, 8]
    assert [of(worker, project, period).failed for period in Period] == [1, 2, 3]


def test_today_is_the_servers():
    now = datetime(2026, 3, 10, 22, 40, tzinfo=UTC)
    with timezone.override("Asia/Tokyo"):
        assert Period.TODAY.since(now) == datetime(2026, 3, 10, 15, tzinfo=UTC)
    assert Period.TODAY.since(now) == datetime(2026, 3, 10, tzinfo=UTC)
    assert Period.DAY.since(now) == datetime(2026, 3, 9, 22, tzinfo=UTC)
    assert Period.ALL.since(now) is None


def test_closed_before_there_were_tallies(project, worker):
    ClosedTotal.objects.create(project=project, worker=worker.worker, count=7)
    found = of(worker, project)
    assert (found.closed, found.seen, found.median) == (7, None, None)
    assert figures.of_project(project.pk, Period.DAY, limit=5) == ([], False)


@pytest.fixture
def five(project):
    """Five workers, of which the last closes most, the first fails most and the second disagrees most."""
    workers = [register() for _ in range(5)]
    begin = timezone.now() - timedelta(days=3)
    numbers = [(10, 60, 0), (20, 1, 30), (30, 2, 1), (40, 3, 2), (50, 4, 3)]
    for place, (worker, (closed, failed, outvoted)) in enumerate(zip(workers, numbers, strict=True)):
        seen = begin - timedelta(hours=abs(2 - place))
        tally(worker, project, closed=closed, failed=failed, agreed=50, outvoted=outvoted, seen=seen)
    # One failure of one task is not the highest share.
    tally(register(), project, closed=0, failed=1)
    return workers


@pytest.mark.parametrize(("order", "first"), [("closed", 4), ("failed", 0), ("disagreement", 1), ("seen", None)])
@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_sorting_and_paging(project, five, order, first, limit):
    whole, more = figures.of_project(project.pk, Period.ALL, order=Order(order), limit=100)
    assert len(whole) == 6
    assert not more
    if first is not None:
        assert whole[0].worker == five[first].worker.pk
    pages, after = [], None
    while True:
        page, more = figures.of_project(project.pk, Period.ALL, order=Order(order), after=after, limit=limit)
        pages += page
        if not more:
            break
        after = page[-1].worker
    assert pages == whole


def test_behind_a_worker_that_is_not_there(project, five):
    with pytest.raises(NotInTheList):
        figures.of_project(project.pk, Period.ALL, after=5**20, limit=1)


def test_marks(project, five):
    found, _ = figures.of_project(project.pk, Period.ALL, limit=100)
    marks = {one.worker: one.marks for one in found if one.marks}
    assert marks == {five[0].worker.pk: (Mark.FAILS,), five[1].worker.pk: (Mark.DISAGREES,)}
    (own,) = figures.of_worker(five[0].worker.pk, [project.pk], Period.ALL)
    assert own.marks == (Mark.FAILS,)
    (own,) = figures.of_worker(five[0].worker.pk, [project.pk], Period.ALL, compare=False)
    assert own.marks == ()


def test_a_worker_is_compared_in_each_of_its_projects(worker, other_worker):
    good, bad, alone = ProjectFactory.create_batch(3)
    for project, failed in ((good, 0), (bad, 50), (alone, 90)):
        tally(worker, project, closed=50, failed=failed, agreed=0)
        if project != alone:
            tally(other_worker, project, closed=50)
    found = figures.of_worker(worker.worker.pk, [good.pk, bad.pk, alone.pk], Period.ALL)
    assert [(one.project, one.marks) for one in found] == [(alone.pk, ()), (bad.pk, (Mark.FAILS,)), (good.pk, ())]
    assert [one.project for one in figures.of_worker(worker.worker.pk, [bad.pk], Period.ALL)] == [bad.pk]


@pytest.mark.parametrize("period", Period)
def test_alone_and_among_all_it_has_the_same_marks(project, period):
    numbers = [(20, 20, 0), (20, 1, 0), (19, 0, 0), (30, 12, 0), (40, 2, 30), (25, 1, 1), (0, 30, 0), (3, 1, 0)]
    for number, (closed, failed, outvoted) in enumerate(numbers):
        hour = None if period is Period.ALL else timezone.now()
        tally(register(f"worker {number}"), project, hour, closed=closed, failed=failed, agreed=20, outvoted=outvoted)
    found, _ = figures.of_project(project.pk, period, limit=100)
    assert len({one.marks for one in found}) == 3
    for one in found:
        assert figures.of_worker(one.worker, [project.pk], period) == [one]


def test_a_worker_is_compared_with_the_newest_hours(project, worker, other_worker, monkeypatch):
    now = timezone.now()
    tally(worker, project, now, closed=50, failed=50)
    tally(other_worker, project, now - timedelta(hours=1), closed=50, failed=50)
    tally(other_worker, project, now, closed=50)
    monkeypatch.setattr(figures, "MOST_HOURS", 2)
    (own,) = figures.of_worker(worker.worker.pk, [project.pk], Period.DAY)
    assert own.marks == (Mark.FAILS,)


def test_an_expiry_counts_as_a_failure(project, worker, other_worker):
    tally(worker, project, closed=20, expired=20)
    tally(other_worker, project, closed=20)
    assert of(worker, project).marks == (Mark.FAILS,)


def test_more_was_put_back_than_is_folded(project, worker):
    """The entries of what is put back may be folded before those of the closing."""
    tally(worker, project, timezone.now(), closed=-3, durations=[0, -3])
    found = of(worker, project, Period.DAY)
    assert (found.closed, found.ended, found.failed_share, found.median) == (-3, 0, None, None)


# --- Plans ---

FILL = """
INSERT INTO tasks_workertally (project_id, worker_id, hour, closed, durations, seen)
SELECT %(project)s, worker, hour, 1, array_fill(1::bigint, ARRAY[60]), now()
FROM generate_series(date_trunc('hour', now()) - interval '48 hours', date_trunc('hour', now()), '1 hour') AS hour
CROSS JOIN generate_series(1, %(workers)s) AS worker
"""
FILL_EVER = """
INSERT INTO tasks_workertally (project_id, worker_id, hour, closed, durations, seen)
SELECT %(project)s, worker, NULL, 1, array_fill(1::bigint, ARRAY[60]), now()
FROM generate_series(1, %(workers)s) AS worker
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("period", Period)
def test_plans(period):
    """One project among several, and one worker of it: no sequential scan of the tallies."""
    projects = ProjectFactory.create_batch(4)
    values = {
        "project": projects[0].pk,
        "projects": [projects[0].pk],
        "worker": 7,
        "workers": [7, 8, 9],
        "most": 1000,
        "since": period.since(),
    }
    with connection.cursor() as cursor:
        for project in projects:
            cursor.execute(FILL, {"project": project.pk, "workers": 100})
            cursor.execute(FILL_EVER, {"project": project.pk, "workers": 100})
        cursor.execute("VACUUM ANALYZE tasks_workertally")
        for statements in (figures.PROJECT_COUNTS, figures.WORKER_COUNTS, figures.DURATIONS, figures.USUAL):
            statement = statements.ever if period is Period.ALL else statements.since
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
            plan = cursor.fetchone()[0][0]["Plan"]
            scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks_workertally"]
            assert scans
            assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
            if statements in (figures.PROJECT_COUNTS, figures.USUAL) and period is not Period.ALL:
                assert [node["Index Name"] for node in scans] == ["workertally_figures"]
