"""What must hold when requests race. Each racing call has its own thread and database connection."""

import contextlib
from functools import partial

import pytest

from projects.models import Project
from tasks import putting_back, queue
from tasks.maintenance import NoSuchVote, accept_vote
from tasks.models import ClosedEntry, ClosedTask, Task
from tasks.putting_back import put_back_closed, put_back_votes
from tasks.queries import worker_stats
from tasks.queue import ageing
from tasks.queue.delays import fail_expired, make_due_ready
from tasks.queue.expiry import expire_leases
from tasks.queue.tallying import fold_outcomes
from tasks.queue.upkeep import fold_closed
from tests.factories import ProjectFactory, TaskFactory, expire, grant, register
from tracker.api.errors import RateLimited

pytestmark = pytest.mark.django_db(transaction=True)


def errors(outcomes):
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]


def test_racing_leases_give_no_task_twice(racing):
    project = ProjectFactory()
    TaskFactory.create_batch(120, project=project)
    workers = [register().worker for _ in range(12)]

    def drain(worker):
        taken = []
        while (task := queue.lease(project=project, worker=worker)) is not None:
            taken.append(task.id)
        return taken

    outcomes = racing([partial(drain, worker) for worker in workers])
    assert not errors(outcomes)
    taken = [task_id for ids in outcomes for task_id in ids]
    assert sorted(taken) == sorted(Task.objects.values_list("pk", flat=True))
    assert {worker.pk: len(ids) for worker, ids in zip(workers, outcomes, strict=True) if ids} == {
        worker.pk: worker.leases.count() for worker in workers if worker.leases.exists()
    }


def test_racing_leases_of_one_task(racing):
    for _ in range(10):
        project = ProjectFactory()
        TaskFactory(project=project)
        workers = [register().worker for _ in range(12)]
        outcomes = racing([partial(queue.lease, project=project, worker=worker) for worker in workers])
        assert not errors(outcomes)
        assert sum(outcome is not None for outcome in outcomes) == 1


def test_expired_task_goes_to_one_worker(racing):
    project = ProjectFactory()
    task = TaskFactory(project=project)
    queue.lease(project=project, worker=register().worker)
    expire(task)
    calls = [partial(queue.lease, project=project, worker=register().worker) for _ in range(11)]
    outcomes = racing([*calls, expire_leases])
    assert not errors(outcomes)
    leased = [outcome for outcome in outcomes[:-1] if outcome is not None]
    # While the scheduler had it locked, the workers may all have passed it over; then it is ready again.
    leased = leased or [queue.lease(project=project, worker=register().worker)]
    assert [one.id for one in leased] == [task.pk]


def test_racing_releases_close_a_task_once(racing):
    chained = ProjectFactory()
    project = ProjectFactory(chain=chained)
    worker = register().worker
    for _ in range(10):
        task = TaskFactory(project=project)
        queue.lease(project=project, worker=worker)
        release = partial(queue.release, worker=worker, task_id=task.pk, result=queue.Result.OK)
        outcomes = racing([release] * 10)
        assert not errors(outcomes)
        assert sum(outcome.updated for outcome in outcomes) == 1
    assert ClosedTask.objects.count() == ClosedEntry.objects.count() == chained.tasks.count() == 10


def test_release_races_the_scheduler_and_the_next_lease(racing):
    project = ProjectFactory()
    first, second = register().worker, register().worker
    for _ in range(20):
        task = TaskFactory(project=project)
        queue.lease(project=project, worker=first)
        expire(task)
        released, _, leased = racing(
            [
                partial(queue.release, worker=first, task_id=task.pk, result=queue.Result.OK),
                expire_leases,
                partial(queue.lease, project=project, worker=second),
            ]
        )
        # Either the first worker closed it, or it is open: leased by the second or ready.
        assert released.updated is not Task.objects.filter(pk=task.pk).exists()
        assert not (released.updated and leased)
        Task.objects.all().delete()
    assert ClosedTask.objects.count() == ClosedEntry.objects.count()


def test_racing_verifications(racing):
    project = ProjectFactory()
    workers = [register().worker for _ in range(6)]
    TaskFactory.create_batch(20, project=project, verification_count=3)

    def work(worker):
        for _ in range(1000):
            task = queue.lease(project=project, worker=worker)
            if task is not None:
                queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=7)
            elif not Task.objects.exclude(voters__contains=[worker.pk]).exists():
                return

    assert not errors(racing([partial(work, worker) for worker in workers]))
    assert not Task.objects.exists()
    assert ClosedTask.objects.count() == 20
    for task in ClosedTask.objects.all():
        # No worker voted twice, and no worker leased the task after the third had agreed.
        assert len({*task.voters, task.worker_id}) == 3


def test_racing_duplicate_submits_store_one_row(racing):
    project, submitter = ProjectFactory(), register()
    grant(submitter, project, submit=True)
    for hash64 in range(1, 11):
        task = queue.NewTask(recipe="x", hash64=hash64)
        submit = partial(queue.submit, worker=submitter.worker, project_id=project.pk, task=task)
        outcomes = racing([submit] * 10)
        stored = Task.objects.get(hash64=hash64)
        duplicates = errors(outcomes)
        assert len(duplicates) == 9
        assert all(isinstance(error, queue.DuplicateTask) for error in duplicates)
        assert {error.content["task"]["id"] for error in duplicates} == {stored.pk}


def test_racing_bulks_with_the_same_hashes_in_different_orders(racing):
    project = ProjectFactory()
    forth = [queue.NewTask(recipe="x", hash64=n) for n in range(1, 301)]
    outcomes = racing([partial(queue.store_many, project=project, tasks=order) for order in (forth, forth[::-1]) * 4])
    assert not errors(outcomes)
    assert project.tasks.count() == 300
    assert sum(not one.duplicate for stored in outcomes for one in stored) == 300
    assert all(one.id for stored in outcomes for one in stored)


def test_racing_chained_closes_of_one_hash_store_one_row(racing):
    target = ProjectFactory()
    projects = [ProjectFactory(chain=target) for _ in range(8)]
    worker = register().worker
    for source in projects:
        TaskFactory(project=source, hash64=42)
        queue.lease(project=source, worker=worker)
    ids = list(Task.objects.values_list("pk", flat=True))
    outcomes = racing([partial(queue.release, worker=worker, task_id=pk, result=queue.Result.OK) for pk in ids])
    assert not errors(outcomes)
    assert all(outcome.updated for outcome in outcomes)
    assert target.tasks.count() == 1
    assert ClosedTask.objects.count() == 8


def test_deadlock_of_a_chained_release_and_a_bulk_is_retried(racing):
    """The release deletes tasks with the hashes 51 to 100 and stores 1 to 50; the bulk stores both."""
    for _ in range(4):
        target = ProjectFactory()
        source = ProjectFactory(chain=target)
        worker = register().worker
        for hash64 in range(51, 101):
            TaskFactory(project=target, hash64=hash64)
        for hash64 in range(1, 51):
            TaskFactory(project=source, hash64=hash64)
        tasks = [
            task
            for project in (target, source)
            for task in queue.lease_many(worker=worker, project_id=project.pk, count=50).tasks
        ]
        reports = [queue.Report(task.id, queue.Result.OK) for task in tasks]
        bulk = [queue.NewTask("x", hash64=hash64) for hash64 in range(1, 101)]
        outcomes = racing(
            [
                partial(queue.release_many, worker=worker, reports=reports),
                partial(queue.store_many, project=target, tasks=bulk),
            ]
        )
        assert not errors(outcomes)
        assert all(one.updated for one in outcomes[0])
        assert set(range(1, 51)) <= set(target.tasks.values_list("hash64", flat=True))


def test_releases_racing_updates(racing):
    """Each update moves a row to another place in the table, also while a release waits for its lock."""
    for _ in range(4):
        project, worker = ProjectFactory(), register().worker
        TaskFactory.create_batch(60, project=project, verification_count=1)
        tasks = queue.lease_many(worker=worker, project_id=project.pk, count=60).tasks
        results = list(queue.Result) * 20
        reports = [queue.Report(task.id, result) for task, result in zip(tasks, results, strict=True)]

        def change(project=project):
            return [project.tasks.update(max_retries=9, priority=number, rank=number) for number in range(10)]

        release = partial(queue.release_many, worker=worker, reports=reports)
        released, _ = outcomes = racing([release, change])
        assert not errors(outcomes)
        assert all(one.held for one in released)
        assert ClosedTask.objects.filter(project_id=project.pk).count() == 20
        assert sorted(project.tasks.values_list("assignee", "retries")) == [(None, 0)] * 20 + [(None, 1)] * 20


def test_racing_exchanges(racing):
    target = ProjectFactory()
    projects = [ProjectFactory(chain=target, assign_rate=rate) for rate in (0, 1e9)]
    for project in projects:
        for hash64 in range(1, 151):
            TaskFactory(project=project, hash64=hash64)

    def work():
        worker, held = register().worker, []
        for turn in range(200):
            reports = [queue.Report(task.id, queue.Result.OK if turn % 3 else queue.Result.SKIP) for task in held]
            project = projects[turn % 2]
            released, leased, _ = queue.exchange(worker=worker, project_id=project.pk, count=7, reports=reports[::-1])
            assert all(one.updated for one in released)
            held = leased.tasks
            if turn > 5 and not held and not Task.objects.exclude(project=target).exists():
                return

    assert not errors(racing([work] * 6))
    assert not Task.objects.exclude(project=target).exists()
    assert ClosedTask.objects.count() == 300
    # Both projects have the same hashes.
    assert target.tasks.count() == 150


def test_rate_limit_lets_one_of_ten_lease(racing):
    project = ProjectFactory(assign_rate=0.01)
    TaskFactory.create_batch(10, project=project)
    calls = [partial(queue.lease, project=project, worker=register().worker) for _ in range(10)]
    outcomes = racing(calls)
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 9
    assert Task.objects.filter(assignee__isnull=False).count() == 1


def test_rate_limit_lets_one_of_ten_submit(racing):
    project, submitter = ProjectFactory(submit_rate=0.01), register()
    grant(submitter, project, submit=True)
    task = queue.NewTask(recipe="x")
    outcomes = racing([partial(queue.submit, worker=submitter.worker, project_id=project.pk, task=task)] * 10)
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 9
    assert project.tasks.count() == 1


def closed_by(worker):
    """How many tasks a worker has closed, as it is counted."""
    (count,) = [one.closed_task_count for one in worker_stats() if one.id == worker.pk]
    return count


def test_tasks_are_put_back_once(racing, monkeypatch):
    """Several managers at once, while others submit tasks with the same hashes and the scheduler folds."""
    monkeypatch.setattr(putting_back, "BATCH", 7)
    for _ in range(4):
        project, worker = ProjectFactory(), register().worker
        for hash64 in range(1, 41):
            TaskFactory(project=project, hash64=hash64)
        tasks = queue.lease_many(worker=worker, project_id=project.pk, count=40).tasks
        queue.release_many(worker=worker, reports=[queue.Report(task.id, queue.Result.OK) for task in tasks])
        bulk = [queue.NewTask("new", hash64=hash64) for hash64 in range(40, 20, -1)]
        put_back = partial(put_back_closed, project=project, worker=worker.pk)
        outcomes = racing([put_back, put_back, put_back, partial(queue.store_many, project=project, tasks=bulk), fold])
        assert not errors(outcomes)
        opened = sum(one.tasks for one in outcomes[:3])
        stored = sum(not one.duplicate for one in outcomes[3])
        assert opened + stored == 40
        assert project.tasks.filter(recipe="new").count() == stored
        assert ClosedTask.objects.filter(project_id=project.pk).count() == closed_by(worker) == stored
        assert sorted(project.tasks.values_list("hash64", flat=True)) == list(range(1, 41))
        ids = {*project.tasks.exclude(recipe="new").values_list("pk", flat=True)}
        ids |= {*ClosedTask.objects.filter(project_id=project.pk).values_list("pk", flat=True)}
        assert ids == {task.id for task in tasks}


def fold():
    while fold_closed() + fold_outcomes():
        pass


def test_putting_back_while_the_worker_goes_on(racing, monkeypatch):
    """It ends although the worker closes again what was put back; no task is closed twice, none is lost."""
    monkeypatch.setattr(putting_back, "BATCH", 5)
    project, worker, other = ProjectFactory(), register().worker, register().worker
    TaskFactory.create_batch(60, project=project)
    ids = set(project.tasks.values_list("pk", flat=True))

    def work(by):
        for _ in range(80):
            task = queue.lease(project=project, worker=by)
            if task is not None:
                assert queue.release(worker=by, task_id=task.id, result=queue.Result.OK).updated

    work(worker)
    assert closed_by(worker) == 60
    put_back = partial(put_back_closed, project=project, worker=worker.pk)
    outcomes = racing([partial(work, worker), partial(work, other), put_back, put_back, fold])
    assert not errors(outcomes)
    assert sum(one.tasks for one in outcomes[2:4]) >= 60
    left = set(project.tasks.values_list("pk", flat=True))
    closed = dict(ClosedTask.objects.values_list("pk", "worker"))
    assert left.isdisjoint(closed)
    assert left | set(closed) == ids
    for one in (worker, other):
        assert closed_by(one) == list(closed.values()).count(one.pk)


def test_votes_are_put_back_while_others_vote(racing, monkeypatch):
    """A vote that was taken off closes no task, and no other vote is lost."""
    monkeypatch.setattr(putting_back, "BATCH", 3)
    for _ in range(3):
        project, liar = ProjectFactory(), register().worker
        honest = [register().worker for _ in range(3)]
        TaskFactory.create_batch(20, project=project, verification_count=3)

        def work(worker, verification, project=project):
            for _ in range(40):
                task = queue.lease(project=project, worker=worker)
                if task is not None:
                    queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=verification)

        work(liar, 7)
        put_back = partial(put_back_votes, project=project, worker=liar.pk)
        outcomes = racing([*(partial(work, worker, 7) for worker in honest), put_back, put_back])
        assert not errors(outcomes)
        for worker in honest:
            work(worker, 7)
        assert not Task.objects.filter(project=project).exists()
        closed = ClosedTask.objects.filter(project_id=project.pk)
        assert closed.count() == 20
        before = sum(liar.pk in task.voters for task in closed)
        assert sum(outcomes[3:]) == 20 - before
        for task in closed:
            assert len({*task.voters, task.worker_id}) == 3


def test_a_lease_races_the_end_of_a_task(racing):
    """It is leased or FAILED, never both."""
    project = ProjectFactory()
    worker = register().worker
    for _ in range(20):
        task = TaskFactory(project=project)
        expire_now = partial(Task.objects.filter(pk=task.pk).update, expires_at="2020-01-01T00:00:00Z")
        outcomes = racing([partial(queue.lease, project=project, worker=worker), expire_now, fail_expired])
        assert not errors(outcomes)
        task.refresh_from_db()
        if outcomes[0] is None:
            fail_expired()
            task.refresh_from_db()
            assert task.status == Task.Status.FAILED
        else:
            assert (task.assignee, task.status) == (worker, Task.Status.NEW)
        Task.objects.all().delete()


def test_delayed_tasks_become_ready_once(racing):
    project = ProjectFactory()
    past = "2020-01-01T00:00:00Z"
    for _ in range(5):
        TaskFactory.create_batch(40, project=project, status=Task.Status.DELAYED, run_at=past, max_retries=99)
        Project.objects.update(retry_backoff="fixed")
        workers = [register().worker for _ in range(4)]

        def fail(worker):
            leased = queue.lease_many(worker=worker, project_id=project.pk, count=5).tasks
            queue.release_many(worker=worker, reports=[queue.Report(one.id, queue.Result.FAIL) for one in leased])
            return len(leased)

        outcomes = racing([*(partial(fail, worker) for worker in workers), make_due_ready, make_due_ready])
        assert not errors(outcomes)
        assert sum(outcomes[-2:]) == 40
        assert Task.objects.filter(status=Task.Status.DELAYED).count() == sum(outcomes[:-2])
        assert sum(Task.objects.values_list("retries", flat=True)) == sum(outcomes[:-2])
        Task.objects.all().delete()


def test_the_last_votes_race(racing):
    """Of votes that don't agree, the last allowed one ends the task, whichever that is."""
    project = ProjectFactory(max_votes=3)
    workers = [register().worker for _ in range(5)]
    for _ in range(20):
        task = TaskFactory(project=project, verification_count=2)

        def vote(worker):
            if (leased := queue.lease(project=project, worker=worker)) is not None:
                queue.release(worker=worker, task_id=leased.id, result=queue.Result.OK, verification=worker.pk)

        while Task.objects.filter(pk=task.pk, status=Task.Status.NEW).exists():
            assert not errors(racing([partial(vote, worker) for worker in workers]))
        task.refresh_from_db()
        assert (task.status, len(task.votes)) == (Task.Status.FAILED, 3)
        assert len(set(task.voters)) == 3
        Task.objects.all().delete()


def test_accepting_races_a_vote(racing):
    """It closes once, by hand or by the vote."""
    chained = ProjectFactory()
    project = ProjectFactory(chain=chained)
    worker = register().worker
    for number in range(1, 21):
        task = TaskFactory(project=project, verification_count=2, voters=[-1], votes=[7])

        def vote():
            if (leased := queue.lease(project=project, worker=worker)) is not None:
                queue.release(worker=worker, task_id=leased.id, result=queue.Result.OK, verification=7)

        def accept():
            with contextlib.suppress(NoSuchVote):
                accept_vote(project=project, task=task.pk, verification=7)  # noqa: B023

        assert not errors(racing([vote, accept, accept]))
        if Task.objects.filter(pk=task.pk).exists():
            accept()
        assert ClosedTask.objects.count() == ClosedEntry.objects.count() == chained.tasks.count() == number


def test_ranking_races_the_queue(racing, monkeypatch):
    """A change of the ageing, while tasks are submitted, leased and given back."""
    monkeypatch.setattr(ageing, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(ageing, "BATCH", 7)
    project = ProjectFactory()
    registration = register()
    grant(registration, project, submit=True)
    TaskFactory.create_batch(30, project=project)
    Project.objects.update(ageing_seconds=60)

    def work():
        for _ in range(10):
            leased = queue.lease_many(worker=registration.worker, project_id=project.pk, count=3).tasks
            reports = [queue.Report(one.id, queue.Result.SKIP) for one in leased]
            queue.release_many(worker=registration.worker, reports=reports)
            queue.submit(worker=registration.worker, project_id=project.pk, task=queue.NewTask("x"))

    def rank():
        for _ in range(50):
            ageing.rank_by_age()

    assert not errors(racing([work, work, rank, rank]))
    rank()
    assert not Task.objects.filter(head_start=None).exists()
    assert Task.objects.filter(assignee=None).count() == 50
