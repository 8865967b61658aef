"""POST /task/exchange."""

import pytest

from tasks import queue
from tasks.models import ClosedTask, Task
from tests.factories import ProjectFactory, TaskFactory
from tracker import db

pytestmark = pytest.mark.django_db

URL = "/task/exchange"
OK, FAIL, SKIP = 0, 1, 2


@pytest.fixture
def exchange(api, worker, project):
    def exchange(*task_ids, count=10, result=OK, project=project):
        releases = [{"task_id": task_id, "result": result} for task_id in task_ids]
        return api.post(URL, {"project": project.pk, "count": count, "releases": releases}, worker=worker)

    return exchange


def ids(answer):
    return [task["id"] for task in answer.content["tasks"]]


def test_it_works(exchange, project, worker):
    tasks = TaskFactory.create_batch(5, project=project)
    first = exchange(count=2)
    assert first.status == 200
    assert first.content["updated"] == 0
    assert first.content["results"] == []
    assert ids(first) == [tasks[0].pk, tasks[1].pk]
    second = exchange(*ids(first), count=2)
    assert second.content["updated"] == 2
    assert second.content["results"] == [{"id": task_id, "updated": True} for task_id in ids(first)]
    assert ids(second) == [tasks[2].pk, tasks[3].pk]
    assert second.content["tasks"][0]["project"]["id"] == project.pk
    assert ClosedTask.objects.count() == 2
    assert Task.objects.filter(assignee=worker.worker.pk).count() == 2


def test_exchanging_until_the_queue_is_empty(exchange, project):
    TaskFactory.create_batch(25, project=project)
    held, rounds = ids(exchange()), 0
    while held:
        answer = exchange(*held)
        held, rounds = ids(answer), rounds + 1
    assert rounds == 3
    assert answer.ok
    assert answer.content["reason"] == "empty"
    assert int(answer.headers["Retry-After"]) > 0
    assert ClosedTask.objects.count() == 25


@pytest.mark.parametrize(("wait", "is_fine"), [(0, True), (20, True), (21, False), (-1, False), ("1", False)])
def test_wait(api, worker, project, wait, is_fine):
    """Here nothing can wait, so the answer comes at once; tests/tasks/test_waiting.py has the waiting."""
    answer = api.post(URL, {"project": project.pk, "count": 1, "wait": wait}, worker=worker)
    assert answer.status == (200 if is_fine else 400)
    assert is_fine or answer.message.startswith("wait: ")


def test_released_task_may_be_leased_again_at_once(exchange, project):
    task = TaskFactory(project=project, max_retries=5)
    exchange()
    assert ids(exchange(task.pk, result=FAIL)) == [task.pk]
    assert Task.objects.get().retries == 1


def test_releases_are_optional(api, worker, project):
    TaskFactory(project=project)
    for releases in ({}, {"releases": None}, {"releases": []}):
        answer = api.post(URL, {"project": project.pk, "count": 1, **releases}, worker=worker)
        assert answer.content["results"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"paused": True}, "project_paused"),
        ({"public": False}, "no_access"),
        ({"assign_rate": 0.01}, "rate_limited"),
    ],
)
def test_releases_stand_when_the_lease_is_refused(exchange, project, change, reason):
    TaskFactory.create_batch(3, project=project)
    held = ids(exchange(count=2))
    for name, value in change.items():
        setattr(project, name, value)
    project.save()
    if reason == "rate_limited":
        # Takes the token.
        exchange(count=1)
    answer = exchange(*held)
    assert answer.ok
    assert answer.content["updated"] == 2
    assert answer.content["tasks"] == []
    assert answer.content["reason"] == reason
    assert int(answer.headers["Retry-After"]) > 0
    assert ("rate_limit_delay" in answer.content) is (reason == "rate_limited")
    assert ClosedTask.objects.count() == 2


def test_empty_project_with_a_rate_limit(exchange, project):
    project.assign_rate = 1.0
    project.save()
    answer = exchange()
    assert answer.content == {"updated": 0, "results": [], "tasks": [], "reason": "empty"}
    assert (answer.ok, answer.message) == (True, "No task available")


def test_paused_worker_may_report(exchange, project, worker):
    TaskFactory.create_batch(2, project=project)
    held = ids(exchange(count=1))
    worker.worker.paused = True
    worker.worker.save()
    answer = exchange(*held)
    assert answer.content["updated"] == 1
    assert answer.content["tasks"] == []
    assert answer.content["reason"] == "worker_paused"


def test_unknown_project_changes_nothing(exchange, project, worker):
    TaskFactory(project=project)
    held = ids(exchange())
    hidden = ProjectFactory(secluded=True)
    for other in (hidden, ProjectFactory.build(pk=10**9)):
        answer = exchange(*held, project=other)
        assert answer.status == 404
        assert answer.message == f"There is no project {other.pk}."
    assert Task.objects.get().assignee_id == worker.worker.pk


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"project": None}, "project: is missing"),
        ({"project": "x"}, "project: "),
        ({"count": None}, "count: is missing"),
        ({"count": 0}, "count: must be a whole number from 1 to 1000"),
        ({"count": 1001}, "count: must be a whole number from 1 to 1000"),
        ({"releases": {}}, "releases: must be an array of at most 1000 releases, not an object"),
        ({"releases": [{"task_id": 1, "result": 0}] * 1001}, "releases: must be an array of at most 1000 releases"),
        ({"releases": [{"task_id": 1, "result": 0}, {"task_id": 1}]}, "Item 1: result: is missing"),
    ],
)
def test_bad_input_changes_nothing(api, worker, project, change, message):
    TaskFactory(project=project)
    answer = api.post(URL, {"project": project.pk, "count": 1, "releases": [], **change}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(message)
    assert not Task.objects.filter(assignee__isnull=False).exists()


@pytest.mark.parametrize("body", [None, [], "x"])
def test_body_that_is_not_an_object(api, worker, body):
    assert api.post(URL, body, worker=worker).status == 400


def test_its_commit_waits_for_the_disk(worker, project):
    TaskFactory(project=project)
    queue.exchange(worker=worker.worker, project_id=project.pk, count=1, reports=[])
    assert db.one("SHOW synchronous_commit") == ("on",)
