"""Snapshots, GET /project/monitoring/:id, /project/monitoring-between/:id and /project/assignees/:id."""

import pytest
from django.utils.dateparse import parse_datetime

from projects.access import set_roles
from projects.models import Snapshot
from projects.roles import Role
from tasks import queue
from tasks.models import Task
from tasks.queue import upkeep
from tests.client import Api
from tests.factories import SOMEBODY, SOMEBODY_ELSE, ProjectFactory, TaskFactory, grant, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(project):
    """Five snapshots, every 100 seconds from time 1,000 on; the newest counts 4 new tasks."""
    for n in range(5):
        Snapshot.objects.create(
            project=project,
            taken=parse_datetime(f"1970-01-01T00:{(1000 + 100 * n) // 60}:{(1000 + 100 * n) % 60:02}Z"),
            new_task_count=n,
            failed_task_count=10,
            closed_task_count=20,
            awaiting_verification_count=0,
            worker_access_count=1,
        )


def times(answer):
    return [one["time_stamp"] for one in answer.content["snapshots"]]


def test_counts_of_a_snapshot(api, project, worker, other_worker):
    TaskFactory.create_batch(3, project=project)
    TaskFactory.create_batch(2, project=project, verification_count=3, voters=[SOMEBODY, SOMEBODY_ELSE], votes=[3, 4])
    TaskFactory(project=project, status=Task.Status.FAILED, voters=[SOMEBODY], votes=[3])
    TaskFactory()
    queue.lease(project=project, worker=worker.worker)
    task = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
    grant(worker, project, assign=True)
    grant(other_worker, project)
    upkeep.take_snapshots()
    (content,) = api.get(f"/project/monitoring/{project.pk}").content["snapshots"]
    assert content.pop("time_stamp") > 1_500_000_000
    assert content == {
        "new_task_count": 4,
        "delayed_task_count": 0,
        "failed_task_count": 1,
        "closed_task_count": 1,
        "awaiting_verification_count": 2,
        "worker_access_count": 1,
    }


def test_closed_count_is_the_same_after_folding(project, worker):
    TaskFactory.create_batch(3, project=project)
    for n in range(3):
        task = queue.lease(project=project, worker=worker.worker)
        queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
        if n == 1:
            upkeep.fold_closed()
    upkeep.take_snapshots()
    assert Snapshot.objects.get().closed_task_count == 3


def test_one_run_takes_one_snapshot_per_project(project):
    ProjectFactory.create_batch(2)
    assert upkeep.take_snapshots() == 3
    assert upkeep.take_snapshots() == 0
    Snapshot.objects.filter(project=project).update(taken="2020-01-01T00:00:00Z")
    assert upkeep.take_snapshots() == 1
    assert Snapshot.objects.filter(project=project).count() == 2


def test_old_snapshots_are_dropped(project, settings):
    settings.SNAPSHOT_KEEP_HOURS = 1
    upkeep.take_snapshots()
    Snapshot.objects.update(taken="2020-01-01T00:00:00Z")
    upkeep.take_snapshots()
    assert upkeep.drop_snapshots() == 1
    assert Snapshot.objects.get().taken.year > 2020
    assert upkeep.drop_snapshots() == 0


@pytest.mark.usefixtures("history")
def test_newest_first(api, project):
    url = f"/project/monitoring/{project.pk}"
    assert times(api.get(url)) == [1400, 1300, 1200, 1100, 1000]
    assert times(api.get(f"{url}?count=2")) == [1400, 1300]
    assert api.get(url).content["snapshots"][0]["new_task_count"] == 4
    assert times(api.get(f"/project/monitoring/{ProjectFactory().pk}")) == []


@pytest.mark.parametrize("count", ["0", "1000", "-1", "x", "1.5", "", "9" * 30])
def test_refuses_a_count(api, project, count):
    answer = api.get(f"/project/monitoring/{project.pk}?count={count}")
    assert answer.status == 400
    assert answer.message.startswith("count: ")


@pytest.mark.usefixtures("history")
def test_between(api, project):
    url = f"/project/monitoring-between/{project.pk}"
    assert times(api.get(f"{url}?from=1100&to=1300")) == [1300, 1200, 1100]
    assert times(api.get(f"{url}?from=1101&to=1299")) == [1200]
    assert times(api.get(f"{url}?from=1300&to=1100")) == []
    assert len(times(api.get(f"{url}?from=0&to=253402300799"))) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "from"),
        ("?from=1", "to"),
        ("?to=1", "from"),
        ("?from=x&to=1", "from"),
        ("?from=0&to=-1", "to"),
        ("?from=0&to=253402300800", "to"),
    ],
)
def test_between_needs_both_times(api, project, query, field):
    answer = api.get(f"/project/monitoring-between/{project.pk}{query}")
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")


@pytest.mark.parametrize("path", ["monitoring/{}", "monitoring-between/{}?from=0&to=1", "assignees/{}"])
def test_hidden_project_needs_read(manager, path):
    project = ProjectFactory(secluded=True)
    url = f"/project/{path.format(project.pk)}"
    api = Api().login(manager)
    assert api.get(url).status == 404
    assert Api().get(url).status == 404
    set_roles(manager=manager, project=project, roles=Role.READ)
    assert api.get(url).status == 200


def test_assignees(api, project, worker, other_worker):
    TaskFactory.create_batch(6, project=project)
    TaskFactory(project=project, status=Task.Status.FAILED)
    for registration in (worker, worker, other_worker):
        queue.lease(project=project, worker=registration.worker)
    content = api.get(f"/project/assignees/{project.pk}").content["assignees"]
    assert content == [
        {"assignee": "unassigned", "task_count": 3},
        {"assignee": "worker", "task_count": 2},
        {"assignee": "other", "task_count": 1},
    ]


def test_at_most_sixteen_assignees(api, project):
    TaskFactory.create_batch(20, project=project)
    for n in range(20):
        queue.lease(project=project, worker=register(f"w{n:02}").worker)
    content = api.get(f"/project/assignees/{project.pk}").content["assignees"]
    assert [one["assignee"] for one in content] == [f"w{n:02}" for n in range(16)]


def test_assignees_of_an_empty_project(api, project):
    assert api.get(f"/project/assignees/{project.pk}").content == {"assignees": []}


@pytest.mark.parametrize(
    ("path", "known"),
    [("monitoring/{}?cuont=3", "count."), ("monitoring-between/{}?from=1&to=2&until=3", "from and to.")],
)
def test_unknown_parameter(api, project, path, known):
    answer = api.get(f"/project/{path.format(project.pk)}")
    assert answer.status == 400
    assert answer.message.endswith(f"is no parameter of this address; it takes {known}")
