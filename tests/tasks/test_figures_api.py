"""GET /project/workers/:id and /worker/figures, POST /project/put_back_closed/:id/:wid and put_back_votes."""

import pytest
from django.utils import timezone

from projects.access import set_roles
from projects.roles import Role
from tasks import queue
from tasks.models import ClosedTotal, Task, WorkerTally
from tests.factories import ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db

NUMBERS = {"closed": 50, "failed": 60, "skipped": 1, "expired": 2, "agreed": 40, "outvoted": 0}


@pytest.fixture
def figures(project, worker, other_worker):
    """One worker that fails, and two that don't."""
    seen = timezone.now().replace(microsecond=0)
    for one, failed in ((worker, 60), (other_worker, 0), (register("third"), 1)):
        numbers = {"seen": seen, "durations": [0] * 40 + [50]} | NUMBERS | {"failed": failed}
        WorkerTally.objects.create(project=project, worker=one.worker, hour=None, **numbers)
        ClosedTotal.objects.create(project=project, worker=one.worker, count=50)
    return NUMBERS | {"last_seen": int(seen.timestamp())}


def test_it_works(api, project, worker, manager, figures):
    api.login(manager)
    content = api.get(f"/project/workers/{project.pk}?sort=failed").content
    assert "after" not in content
    first, *others = content["workers"]
    assert 0.9 < first.pop("median_seconds") / first.pop("p95_seconds") <= 1
    assert first == figures | {
        "id": worker.worker.pk,
        "alias": "worker",
        "paused": False,
        "operator": None,
        "marks": ["fails"],
    }
    assert [one["marks"] for one in others] == [[], []]
    assert [one["failed"] for one in others] == [1, 0]


def test_pages(api, project, manager, figures):
    api.login(manager)
    first = api.get(f"/project/workers/{project.pk}?limit=2").content
    rest = api.get(f"/project/workers/{project.pk}?limit=2&after={first['after']}").content
    assert "after" not in rest
    ids = [one["id"] for one in first["workers"] + rest["workers"]]
    assert len(set(ids)) == len(ids) == 3
    assert "begin again" in api.get(f"/project/workers/{project.pk}?after=999999").message


def test_periods(api, project, worker, manager):
    TaskFactory.create_batch(2, project=project)
    for result in (queue.Result.OK, queue.Result.FAIL):
        task = queue.lease(project=project, worker=worker.worker)
        queue.release(worker=worker.worker, task_id=task.id, result=result)
    ClosedTotal.objects.create(project=project, worker=worker.worker, count=7)
    api.login(manager)
    for period, closed in (("today", 1), ("24h", 1), ("all", 8)):
        (found,) = api.get(f"/project/workers/{project.pk}?period={period}").content["workers"]
        (own,) = api.get(f"/worker/figures?period={period}", worker=worker).content["figures"]
        assert (found["closed"], found["failed"]) == (own["closed"], own["failed"]) == (closed, 1)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("period=week", 'period: must be "today", "24h" or "all", not the text "week".'),
        ("period=24", 'period: must be "today", "24h" or "all", not 24.'),
        ("sort=name", 'sort: must be "closed", "failed", "disagreement" or "seen", not the text "name".'),
        ("limit=201", "limit: must be a whole number from 1 to 200, not 201."),
        ("order=seen", '"order" is no parameter of this address; it takes after and limit and period and sort.'),
    ],
)
def test_wrong_parameters(api, project, worker, manager, query, message):
    answer = api.login(manager).get(f"/project/workers/{project.pk}?{query}")
    assert (answer.status, answer.message) == (400, message)
    if query.startswith("period"):
        answer = api.get(f"/worker/figures?{query}", worker=worker)
        assert (answer.status, answer.message) == (400, message)


def test_nothing_yet(api, project, worker, manager):
    assert api.login(manager).get(f"/project/workers/{project.pk}").content == {"workers": []}
    assert api.get("/worker/figures", worker=worker).content == {"figures": []}
    assert api.get("/project/workers/999999").status == 404


def test_a_deleted_worker(api, project, worker, manager, figures):
    worker.worker.delete()
    found = api.login(manager).get(f"/project/workers/{project.pk}?sort=failed").content["workers"]
    assert (found[0]["alias"], found[0]["paused"], found[0]["failed"]) == (None, False, 60)


def test_a_workers_own(api, project, worker, other_worker, figures):
    """In the order of projects, without marks, and nothing of others."""
    hidden = ProjectFactory(secluded=True)
    WorkerTally.objects.create(project=hidden, worker=worker.worker, hour=None, seen=timezone.now(), failed=3)
    found = api.get("/worker/figures", worker=worker).content["figures"]
    assert [(one["project"], one["failed"]) for one in found] == [(project.pk, 60), (hidden.pk, 3)]
    assert "marks" not in found[0]
    assert set(found[0]) == {*figures, "project", "median_seconds", "p95_seconds"}
    first = api.get("/worker/figures?limit=1", worker=worker).content
    assert first == {"figures": found[:1], "after": project.pk}
    assert api.get(f"/worker/figures?after={project.pk}", worker=worker).content == {"figures": found[1:]}
    assert len(api.get("/worker/figures", worker=other_worker).content["figures"]) == 1
    assert api.get("/worker/figures").status == 401


def test_put_back(api, project, worker, other_worker, manager):
    set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
    TaskFactory.create_batch(2, project=project, hash64=None)
    TaskFactory(project=project, hash64=7)
    for _ in range(3):
        task = queue.lease(project=project, worker=worker.worker)
        queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
    TaskFactory(project=project, hash64=7)
    api.login(manager)
    address = f"/project/put_back_closed/{project.pk}/"
    assert api.post(f"{address}{other_worker.worker.pk}").content == {"affected_tasks": 0, "hash_taken": 0}
    assert api.post(f"{address}{worker.worker.pk}").content == {"affected_tasks": 2, "hash_taken": 1}
    assert api.post(f"{address}{worker.worker.pk}").content == {"affected_tasks": 0, "hash_taken": 1}
    task = Task.objects.first()
    Task.objects.filter(pk=task.pk).update(voters=[worker.worker.pk], votes=[4], verification_count=2)
    address = f"/project/put_back_votes/{project.pk}/"
    assert api.post(f"{address}{worker.worker.pk}").content == {"affected_tasks": 1}
    assert api.post(f"{address}{worker.worker.pk}").content == {"affected_tasks": 0}
