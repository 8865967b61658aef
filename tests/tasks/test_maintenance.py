"""POST /project/reset_failed_tasks/:id, /project/reclaim_assigned_tasks/:id and /project/hard_reset/:id."""

from functools import partial

import pytest
from django.db import connection, transaction

from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tasks import maintenance, queue
from tasks.models import ClosedEntry, ClosedTask, Task
from tests.client import Api
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db

ACTIONS = ("reset_failed_tasks", "reclaim_assigned_tasks", "hard_reset")


@pytest.fixture
def as_manager(manager, project):
    set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
    return Api().login(manager)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(maintenance, "BATCH", 3)


@pytest.fixture
def mixed(project, worker):
    """Eight ready, eight failed and eight leased tasks, and as many in another project."""
    for where in (project, ProjectFactory()):
        TaskFactory.create_batch(8, project=where, priority=5, voters=[SOMEBODY], votes=[2], verification_count=2)
        for _ in range(8):
            queue.lease(project=where, worker=worker.worker)
        TaskFactory.create_batch(8, project=where)
        TaskFactory.create_batch(8, project=where, status=Task.Status.FAILED, retries=2)


def run(api, action, project):
    return api.post(f"/project/{action}/{project.pk}")


def state(project):
    tasks = Task.objects.filter(project=project)
    leased = tasks.filter(assignee__isnull=False).count()
    failed = tasks.filter(status=Task.Status.FAILED).count()
    return {"ready": tasks.count() - leased - failed, "leased": leased, "failed": failed}


@pytest.mark.usefixtures("small_batches", "mixed")
@pytest.mark.parametrize(
    ("action", "after"),
    [
        ("reset_failed_tasks", {"ready": 16, "leased": 8, "failed": 0}),
        ("reclaim_assigned_tasks", {"ready": 16, "leased": 0, "failed": 8}),
        ("hard_reset", {"ready": 0, "leased": 0, "failed": 0}),
    ],
)
def test_it_works(as_manager, project, action, after):
    other = Task.objects.exclude(project=project).first().project
    affected = 24 if action == "hard_reset" else 8
    assert run(as_manager, action, project).content == {"affected_tasks": affected}
    assert state(project) == after
    assert state(other) == {"ready": 8, "leased": 8, "failed": 8}
    assert run(as_manager, action, project).content == {"affected_tasks": 0}


@pytest.mark.usefixtures("mixed")
def test_reset_sets_retries_to_zero(as_manager, project):
    run(as_manager, "reset_failed_tasks", project)
    assert set(project.tasks.values_list("retries", flat=True)) == {0}


@pytest.mark.usefixtures("mixed")
def test_reclaim_keeps_votes_and_ends_the_lease(api, as_manager, project, worker):
    task = Task.objects.filter(project=project, assignee__isnull=False).first()
    run(as_manager, "reclaim_assigned_tasks", project)
    answer = api.post("/task/release", {"task_id": task.pk, "result": 0}, worker=worker)
    assert answer.content == {"updated": False}
    task.refresh_from_db()
    assert (task.voters, task.votes, task.lease) == ([SOMEBODY], [2], None)


@pytest.mark.usefixtures("mixed")
def test_hard_reset_counts_and_chains_nothing(as_manager, project):
    following = ProjectFactory()
    project.chain = following
    project.save()
    run(as_manager, "hard_reset", project)
    assert not ClosedTask.objects.exists()
    assert not ClosedEntry.objects.exists()
    assert not following.tasks.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_needs_maintenance(api, project, manager, action):
    set_roles(manager=manager, project=project, roles=ALL_ROLES ^ Role.MAINTENANCE)
    TaskFactory(project=project, status=Task.Status.FAILED)
    assert run(Api().login(manager), action, project).status == 403
    assert run(api, action, project).status == 401
    assert state(project) == {"ready": 0, "leased": 0, "failed": 1}


@pytest.mark.parametrize("action", ACTIONS)
def test_get_is_not_allowed(as_manager, project, action):
    assert as_manager.get(f"/project/{action}/{project.pk}").status == 405


@pytest.mark.django_db(transaction=True)
def test_hard_reset_while_workers_are_busy(racing, small_batches):
    project = ProjectFactory()
    TaskFactory.create_batch(60, project=project, max_retries=1000)
    first = set(project.tasks.values_list("pk", flat=True))

    def work(worker):
        results = [queue.Result.FAIL, queue.Result.SKIP, queue.Result.OK]
        for turn in range(40):
            task = queue.lease(project=project, worker=worker)
            if task is not None:
                queue.release(worker=worker, task_id=task.id, result=results[turn % 3])
            queue.store_many(project=project, tasks=[queue.NewTask(recipe="new")])

    calls = [partial(work, register().worker) for _ in range(4)]
    outcomes = racing([*calls, partial(maintenance.delete_all, project=project)])
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert not first & set(project.tasks.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_leasing_skips_rows_locked_by_a_batch(racing):
    project, worker = ProjectFactory(), register().worker
    TaskFactory(project=project, priority=9)
    low = TaskFactory(project=project, priority=0)
    # Locked as by hard_reset, until this transaction ends.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT FROM tasks_task WHERE id <> %s FOR UPDATE", [low.pk])
        (leased,) = racing([partial(queue.lease, project=project, worker=worker)])
    assert leased.id == low.pk
