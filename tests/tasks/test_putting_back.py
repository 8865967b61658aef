"""Putting back what a worker has closed alone, and its votes."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tasks import putting_back, queue
from tasks.models import Attempt, ClosedEntry, ClosedTask, Outcome, ProjectTally, Task, WorkerTally
from tasks.putting_back import Preview, PutBack, preview, put_back_closed, put_back_votes
from tasks.queries import figures, worker_stats
from tasks.queries.figures import Period
from tasks.queries.overview import overview
from tasks.queue.tallying import fold_outcomes
from tasks.queue.upkeep import fold_closed, take_snapshots
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, register
from tests.tasks.test_plans import nodes
from tracker import db

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)
TOLD = '{"message": "done", "output": "[1]", "seconds": 3}'


@pytest.fixture(params=[1, 2, 5_000], autouse=True)
def batches(request, monkeypatch):
    monkeypatch.setattr(putting_back, "BATCH", request.param)


def report(project, worker, result=OK, *, verification=0, told=None):
    task = queue.lease(worker=worker.worker, project=project)
    queue.release(worker=worker.worker, task_id=task.id, result=result, verification=verification, told=told)
    return task.id


def fold():
    while fold_closed() + fold_outcomes():
        pass


def put_back(project, worker):
    found = put_back_closed(project=project, worker=worker.worker.pk)
    assert put_back_closed(project=project, worker=worker.worker.pk) == PutBack(0, found.taken)
    return found


def counted(project):
    """The closed tasks of the project, by each reader that counts them."""
    take_snapshots()
    found = {period: figures.of_project(project.pk, period, limit=100)[0] for period in Period}
    numbers = {sum(one.closed for one in rows) for rows in found.values()}
    numbers |= {overview(project).closed, sum(one.closed_task_count for one in worker_stats())}
    numbers |= {project.snapshots.latest("taken").closed_task_count}
    project.snapshots.all().delete()
    (number,) = numbers
    return number


def test_it_works(project, worker, other_worker):
    bad = [TaskFactory(project=project, priority=5, hash64=n, retries=2, created="2026-01-01T00:00Z") for n in range(3)]
    for _ in bad:
        report(project, worker, told=TOLD)
    elsewhere = TaskFactory().project
    report(elsewhere, worker)
    TaskFactory(project=project)
    report(project, other_worker)
    assert preview(project=project, worker=worker.worker.pk) == Preview(3, 0, 0, True)
    assert put_back(project, worker) == PutBack(3, 0)
    stored = Task.objects.order_by("pk").values_list(
        "pk", "project", "recipe", "priority", "retries", "hash64", "created"
    )
    assert list(stored) == [
        (one.pk, project.pk, one.recipe, 5, 2, one.hash64, datetime(2026, 1, 1, tzinfo=UTC)) for one in bad
    ]
    task = Task.objects.order_by("pk").first()
    assert (task.status, task.max_retries, task.max_assign_time, task.verification_count) == (1, 0, 0, 1)
    assert (task.assignee, task.voters, task.votes, task.expiries, task.failure) == (None, [], [], 0, None)
    assert set(ClosedTask.objects.values_list("project", "worker")) == {
        (project.pk, other_worker.worker.pk),
        (elsewhere.pk, worker.worker.pk),
    }
    assert preview(project=project, worker=worker.worker.pk) == Preview(0, 0, 0, True)


def test_the_task_is_leased_and_closed_again(project, worker, other_worker):
    task = TaskFactory(project=project)
    report(project, worker)
    put_back(project, worker)
    assert report(project, other_worker) == task.pk
    assert ClosedTask.objects.get().worker == other_worker.worker
    assert put_back(project, worker) == PutBack(0, 0)
    assert counted(project) == 1


def test_the_closing_stays_as_an_attempt(project, worker):
    task = TaskFactory(project=project)
    report(project, worker, told=TOLD)
    closed = ClosedTask.objects.get()
    put_back(project, worker)
    attempt = Attempt.objects.get()
    assert (attempt.task_id, attempt.worker_id, attempt.project_id) == (task.pk, worker.worker.pk, project.pk)
    assert (attempt.outcome, attempt.message, attempt.output, attempt.seconds) == (Outcome.CLOSED, "done", "[1]", 3)
    assert (attempt.began, attempt.ended, attempt.version) == (closed.assign_time, closed.closed, closed.version)


@pytest.mark.parametrize("folded", ["before", "after", "both", "never"])
def test_counted_back(project, worker, other_worker, folded):
    TaskFactory.create_batch(5, project=project)
    for seconds in (1, 1, 100):
        report(project, worker, told=f'{{"seconds": {seconds}}}')
    for _ in range(2):
        report(project, other_worker)
    if folded in ("before", "both"):
        fold()
    assert counted(project) == 5
    assert put_back(project, worker) == PutBack(3, 0)
    if folded in ("after", "both"):
        fold()
    assert counted(project) == 2
    (own,) = [one for one in figures.of_project(project.pk, Period.ALL, limit=9)[0] if one.worker == worker.worker.pk]
    assert (own.closed, own.median, own.p95) == (0, None, None)
    fold()
    assert counted(project) == 2
    assert sum(ProjectTally.objects.values_list("closed", flat=True)) == 2
    assert {sum(one.durations) for one in WorkerTally.objects.filter(worker=worker.worker)} == {0}


def test_what_was_closed_before_is_counted_back_then(project, worker):
    """Not in the present hour, where it would show as less than nothing."""
    TaskFactory.create_batch(2, project=project)
    report(project, worker)
    yesterday = timezone.now() - timedelta(days=2)
    ClosedTask.objects.update(closed=yesterday, assign_time=yesterday)
    ClosedEntry.objects.update(at=yesterday)
    fold()
    report(project, worker)
    put_back(project, worker)
    fold()
    assert [of.closed for of in figures.of_worker(worker.worker.pk, [project.pk], Period.DAY)] == [0]
    assert set(WorkerTally.objects.values_list("closed", flat=True)) == {0}


def test_what_others_have_verified_stays_closed(project, worker, other_worker):
    TaskFactory.create_batch(2, project=project, verification_count=2)
    for one in (other_worker, worker):
        for _ in range(2):
            report(project, one, verification=7)
    assert preview(project=project, worker=worker.worker.pk) == Preview(0, 2, 0, True)
    assert put_back(project, worker) == PutBack(0, 0)
    assert ClosedTask.objects.count() == 2


@pytest.mark.parametrize("folded", [True, False])
def test_closed_against_others(project, worker, other_worker, folded):
    """Their votes stay, and are neither right nor wrong any more; so does that it is not for somebody."""
    third = register()
    task = TaskFactory(project=project, verification_count=2)
    report(project, third, SKIP, told='{"reason": 5}')
    report(project, other_worker, verification=1)
    Task.objects.update(verification_count=1)
    report(project, worker, verification=2)
    if folded:
        fold()

    def votes():
        found = figures.of_project(project.pk, Period.ALL, limit=9)[0]
        assert found == figures.of_project(project.pk, Period.DAY, limit=9)[0]
        return {one.worker: (one.agreed, one.outvoted) for one in found}

    assert votes()[worker.worker.pk] == (1, 0)
    assert votes()[other_worker.worker.pk] == (0, 1)
    assert put_back(project, worker) == PutBack(1, 0)
    assert set(votes().values()) == {(0, 0)}
    fold()
    assert set(votes().values()) == {(0, 0)}
    task.refresh_from_db()
    assert (task.voters, task.votes) == ([third.worker.pk, other_worker.worker.pk], [None, 1])
    assert queue.lease(project=project, worker=other_worker.worker) is None
    report(project, register(), verification=1)
    assert votes()[other_worker.worker.pk] == (1, 0)


def test_a_hash_that_is_taken(project, worker):
    for hash64 in (1, 2, 3):
        TaskFactory(project=project, hash64=hash64)
        report(project, worker)
    TaskFactory(project=project, hash64=2, recipe="new")
    assert put_back(project, worker) == PutBack(2, 1)
    assert sorted(Task.objects.values_list("hash64", flat=True)) == [1, 2, 3]
    assert Task.objects.get(hash64=2).recipe == "new"
    assert ClosedTask.objects.get().hash64 == 2
    assert counted(project) == 1


def test_two_closed_tasks_of_one_hash(project, worker):
    for _ in range(2):
        TaskFactory(project=project, hash64=7)
        report(project, worker)
    assert put_back(project, worker) == PutBack(1, 1)
    assert counted(project) == 1


def test_copies_in_the_chain_stay(worker):
    target = ProjectFactory()
    project = ProjectFactory(chain=target)
    TaskFactory(project=project, hash64=7)
    report(project, worker)
    assert put_back(project, worker) == PutBack(1, 0)
    assert (project.tasks.count(), target.tasks.count()) == (1, 1)
    # When it closes again, its copy is there already.
    report(project, worker)
    assert target.tasks.count() == 1


def test_nothing_is_kept(worker):
    project = ProjectFactory(retention_days=0)
    TaskFactory(project=project)
    report(project, worker)
    assert put_back(project, worker) == PutBack(0, 0)
    assert counted(project) == 1


def test_many_that_closed_at_one_moment(project, worker, other_worker):
    """Batches end between them."""
    TaskFactory.create_batch(7, project=project)
    for _ in range(7):
        report(project, worker)
    ClosedTask.objects.update(closed=timezone.now())
    assert put_back(project, worker) == PutBack(7, 0)


def test_a_deleted_worker(project, worker):
    TaskFactory(project=project)
    report(project, worker)
    pk = worker.worker.pk
    worker.worker.delete()
    assert put_back_closed(project=project, worker=pk) == PutBack(1, 0)


def test_it_ends_although_the_worker_closes_them_again(project, worker, monkeypatch):
    TaskFactory.create_batch(4, project=project)
    for _ in range(4):
        report(project, worker)
    run, rounds = db.rows_again, []

    def run_and_close_again(statement, values):
        rows = run(statement, values)
        if statement == putting_back.PUT_BACK_CLOSED:
            rounds.append(rows)
            assert len(rounds) < 9
            while project.tasks.exists():
                report(project, worker)
        return rows

    monkeypatch.setattr(db, "rows_again", run_and_close_again)
    assert put_back_closed(project=project, worker=worker.worker.pk) == PutBack(4, 0)
    assert counted(project) == 4


# --- Votes ---


def vote(*votes, **columns):
    """A task with these pairs of voter and vote."""
    voters, hashes = zip(*votes, strict=True) if votes else ((), ())
    return TaskFactory(verification_count=3, voters=list(voters), votes=list(hashes), **columns)


def test_votes(project, worker):
    me = worker.worker.pk
    cases = [
        ([(me, 5)], []),
        ([(SOMEBODY, 5), (me, 6), (-3, None)], [(SOMEBODY, 5), (-3, None)]),
        ([(me, None), (SOMEBODY, 5)], [(me, None), (SOMEBODY, 5)]),
        ([(SOMEBODY, me), (-3, me)], [(SOMEBODY, me), (-3, me)]),
        ([], []),
    ]
    tasks = [vote(*before, project=project) for before, _ in cases]
    failed = vote((me, 5), (SOMEBODY, 5), project=project, status=Task.Status.FAILED)
    elsewhere = vote((me, 5))
    assert preview(project=project, worker=me) == Preview(0, 0, 3, True)
    assert put_back_votes(project=project, worker=me) == 3
    assert put_back_votes(project=project, worker=me) == 0
    assert preview(project=project, worker=me).voted == 0
    for task, (_, after) in zip([*tasks, failed], [*cases, (None, [(SOMEBODY, 5)])], strict=True):
        task.refresh_from_db()
        assert list(zip(task.voters, task.votes, strict=True)) == after
    elsewhere.refresh_from_db()
    assert elsewhere.voters == [me]


def test_others_are_asked_instead(project, worker, other_worker):
    task = TaskFactory(project=project, verification_count=2)
    report(project, worker, verification=6)
    assert put_back_votes(project=project, worker=worker.worker.pk) == 1
    report(project, other_worker, verification=7)
    assert queue.lease(project=project, worker=other_worker.worker) is None
    report(project, register(), verification=7)
    assert ClosedTask.objects.get(pk=task.pk).voters == [other_worker.worker.pk]


def test_a_vote_on_a_leased_task(project, worker, other_worker):
    """Whoever holds it may go on, but its result alone is no longer enough."""
    TaskFactory(project=project, verification_count=2)
    report(project, worker, verification=6)
    leased = queue.lease(project=project, worker=other_worker.worker)
    assert put_back_votes(project=project, worker=worker.worker.pk) == 1
    done = queue.release(worker=other_worker.worker, task_id=leased.id, result=OK, verification=6)
    assert (done.held, done.missing) == (True, 1)


# --- The preview ---


def test_a_long_preview(project, worker, monkeypatch):
    monkeypatch.setattr(putting_back, "PREVIEWED", 2)
    TaskFactory.create_batch(3, project=project)
    for _ in range(3):
        report(project, worker)
    assert preview(project=project, worker=worker.worker.pk) == Preview(2, 0, 0, False)


FILL = "INSERT INTO tasks_task (project_id, recipe) SELECT %(project)s, 'x' FROM generate_series(1, 8000)"
FILL_CLOSED = """
INSERT INTO tasks_closedtask
    (id, project_id, worker_id, recipe, priority, retries, verification, voters, votes, created, assign_time, closed)
SELECT n, %(project)s, %(worker)s, 'x', 0, 0, 0, '{}', '{}', now(), now(), now() - make_interval(secs => n)
FROM generate_series(1000000, 1008000) AS n
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["tasks_task", "tasks_closedtask"])
def test_plans(project, worker, table):
    """A batch doesn't read a whole table, neither before it was analysed nor after."""
    other, me = ProjectFactory(), worker.worker.pk
    values = {"project": project.pk, "worker": me, "after_id": 0, "newest": 2**40, "limit": 100}
    for part in (project, other):
        db.affected(FILL, {"project": part.pk})
    db.affected(FILL_CLOSED, {"project": other.pk, "worker": me})
    vote((me, 5), project=project)
    statements = {
        putting_back.PUT_BACK_VOTES: {"after": 0},
        putting_back.PREVIEW_VOTES: {"after": 0},
        putting_back.PUT_BACK_CLOSED: {"after": "-infinity", "until": timezone.now()},
        putting_back.PREVIEW_CLOSED: {},
    }
    for _ in range(2):
        for statement, more in statements.items():
            (plan,) = db.one(f"EXPLAIN (FORMAT JSON) {statement}", values | more)
            scans = {node["Node Type"] for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == table}
            assert scans <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan", "ModifyTable"}, statement
        db.affected("ANALYZE tasks_task, tasks_closedtask")
