"""POST /task/bulk_release."""

import uuid
from functools import partial

import pytest
from django.db.models import F

from tasks import queue
from tasks.models import ClosedEntry, ClosedTask, Task
from tasks.queries import worker_stats
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db

URL = "/task/bulk_release"
OK, FAIL, SKIP = 0, 1, 2


@pytest.fixture
def lease(worker):
    """Leases up to `count` tasks of a project and returns their ids."""

    def lease(project, count):
        return [task.id for task in queue.lease_many(worker=worker.worker, project_id=project.pk, count=count).tasks]

    return lease


def test_it_works(api, worker, project, lease):
    TaskFactory.create_batch(5, project=project, max_retries=2)
    closed, failed, skipped, last = lease(project, 4)
    stranger = Task.objects.get(assignee=None).pk
    reports = [
        {"task_id": failed, "result": FAIL},
        {"task_id": stranger, "result": OK},
        {"task_id": closed, "result": OK, "verification": 77},
        {"task_id": skipped, "result": SKIP},
    ]
    answer = api.post(URL, {"releases": reports}, worker=worker)
    assert answer.status == 200
    message = "This worker does not hold this task, or no longer holds it; nothing was changed."
    assert answer.content == {
        "updated": 3,
        "results": [
            {"id": failed, "updated": True},
            {"id": stranger, "updated": False, "message": message},
            {"id": closed, "updated": True},
            {"id": skipped, "updated": True},
        ],
    }
    rows = {task.pk: (task.status, task.retries, task.assignee_id) for task in Task.objects.all()}
    assert rows == {
        failed: (1, 1, None),
        skipped: (1, 0, None),
        stranger: (1, 0, None),
        last: (1, 0, worker.worker.pk),
    }
    kept = ClosedTask.objects.get()
    assert (kept.pk, kept.worker_id, kept.verification) == (closed, worker.worker.pk, 77)
    assert ClosedEntry.objects.get().count == 1


def test_body_may_be_a_plain_array(api, worker, project, lease):
    TaskFactory.create_batch(2, project=project)
    reports = [{"task_id": task_id, "result": OK} for task_id in lease(project, 2)]
    assert api.post(URL, reports, worker=worker).content["updated"] == 2
    assert not Task.objects.exists()


def test_releases_a_thousand_tasks(api, worker, project, lease):
    TaskFactory.create_batch(1000, project=project)
    reports = [{"task_id": task_id, "result": OK} for task_id in lease(project, 1000)]
    assert api.post(URL, reports[::-1], worker=worker).content["updated"] == 1000
    # One entry, however many were closed.
    assert [entry.count for entry in ClosedEntry.objects.all()] == [1000]
    assert ClosedTask.objects.count() == 1000
    assert worker_stats()[0].closed_task_count == 1000


def test_fail_at_the_last_retry(api, worker, project, lease):
    TaskFactory(project=project, max_retries=1)
    (task_id,) = lease(project, 1)
    api.post(URL, [{"task_id": task_id, "result": FAIL}], worker=worker)
    assert (Task.objects.get().status, Task.objects.get().retries) == (2, 1)


def test_second_report_of_the_same_task_finds_it_not_held(api, worker, project, lease):
    TaskFactory(project=project)
    (task_id,) = lease(project, 1)
    reports = [{"task_id": task_id, "result": result} for result in (SKIP, OK)]
    results = api.post(URL, reports, worker=worker).content["results"]
    assert [one["updated"] for one in results] == [True, False]
    assert Task.objects.get().assignee is None


def test_report_of_an_old_lease_does_not_end_the_current_one(api, worker, project):
    TaskFactory(project=project)
    old = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=old.id, result=queue.Result.SKIP)
    new = queue.lease(project=project, worker=worker.worker)
    reports = [{"task_id": old.id, "result": SKIP, "lease": lease} for lease in (old.lease, new.lease)]
    results = api.post(URL, reports, worker=worker).content["results"]
    assert [one["updated"] for one in results] == [False, True]


def test_verifications(api, worker, project, lease):
    agreed, differing, fresh = (
        TaskFactory(project=project, verification_count=2, voters=voters, votes=votes).pk
        for voters, votes in (([SOMEBODY], [5]), ([SOMEBODY], [6]), ([], []))
    )
    assert set(lease(project, 3)) == {agreed, differing, fresh}
    reports = [{"task_id": task_id, "result": OK, "verification": 5} for task_id in (agreed, differing, fresh)]
    results = api.post(URL, reports, worker=worker).content["results"]
    assert [one["updated"] for one in results] == [True, False, False]
    assert results[1]["message"].startswith("Verification noted; 1 more ")
    me = worker.worker.pk
    assert {task.pk: (task.voters, task.votes, task.assignee_id) for task in Task.objects.all()} == {
        differing: ([SOMEBODY, me], [6, 5], None),
        fresh: ([me], [5], None),
    }
    assert (ClosedTask.objects.get().voters, ClosedTask.objects.get().votes) == ([SOMEBODY], [5])


def test_chains(api, worker, lease):
    target = ProjectFactory()
    TaskFactory(project=target, hash64=2)
    source, forgetful = ProjectFactory(chain=target), ProjectFactory(chain=target, retention_days=0)
    for hash64 in (1, 2, 3):
        TaskFactory(project=source, hash64=hash64, priority=hash64, max_retries=4)
    TaskFactory(project=forgetful, hash64=3)
    TaskFactory(project=ProjectFactory())
    reports = [
        {"task_id": task_id, "result": OK}
        for project in (source, forgetful, Task.objects.last().project)
        for task_id in lease(project, 3)
    ]
    assert api.post(URL, reports, worker=worker).content["updated"] == 5
    chained = {task.hash64: (task.priority, task.max_retries) for task in target.tasks.all()}
    assert set(chained) == {1, 2, 3}
    assert chained[1] == (1, 4)
    assert ClosedTask.objects.count() == 4
    assert sum(entry.count for entry in ClosedEntry.objects.all()) == 5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "releases: must hold 1 to 1000 items"),
        ({"releases": []}, "releases: must hold 1 to 1000 items"),
        ([{"task_id": 1, "result": 0}] * 1001, "releases: must hold 1 to 1000 items"),
        ({}, "The body must be an array of releases"),
        ({"releases": {}}, "The body must be an array of releases"),
        ("text", "The body must be an array of releases"),
        ([{"task_id": 1, "result": 0}, 7], "Item 1: must be a JSON object"),
        ([{"task_id": 1, "result": 0}, {"task_id": 1, "result": 3}], "Item 1: result: "),
        ([{"result": 0}], "Item 0: task_id: is missing"),
        ([{"task_id": 1, "result": 0, "lease": "x"}], "Item 0: lease: "),
    ],
)
def test_bad_input_changes_nothing(api, worker, project, lease, body, message):
    TaskFactory(project=project)
    (task_id,) = lease(project, 1)
    answer = api.post(URL, body, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(message)
    assert Task.objects.get().pk == task_id


def test_does_not_end_a_lease_of_another_worker(api, other_worker, project, lease):
    TaskFactory(project=project)
    reports = [{"task_id": task_id, "result": OK, "lease": str(uuid.uuid4())} for task_id in lease(project, 1)]
    assert api.post(URL, reports, worker=other_worker).content["updated"] == 0
    assert Task.objects.get().assignee is not None


@pytest.mark.django_db(transaction=True)
def test_racing_releases_close_each_task_once(racing):
    target = ProjectFactory()
    project, worker = ProjectFactory(chain=target), register().worker
    TaskFactory.create_batch(100, project=project)
    Task.objects.update(hash64=F("id"))
    for _ in range(5):
        leased = queue.lease_many(worker=worker, project_id=project.pk, count=20).tasks
        reports = [queue.Report(task.id, queue.Result.OK) for task in leased]
        orders = [reports, reports[::-1], reports[10:] + reports[:10]]
        outcomes = racing([partial(queue.release_many, worker=worker, reports=order) for order in orders * 2])
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert sum(one.updated for released in outcomes for one in released) == 20
    assert ClosedTask.objects.count() == target.tasks.count() == 100
    assert sum(entry.count for entry in ClosedEntry.objects.all()) == 100
