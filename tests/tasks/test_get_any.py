"""GET /task/get."""

from collections import Counter

import pytest

from tasks import queue
from tasks.models import Task
from tests.clock import now, seconds_since
from tests.factories import ProjectFactory, TaskFactory, expire, grant

pytestmark = pytest.mark.django_db

URL = "/task/get"


@pytest.fixture
def filled():
    """Creates a project with tasks whose recipe is its name."""

    def filled(name, tasks=1, **settings):
        project = ProjectFactory(name=name, **settings)
        TaskFactory.create_batch(tasks, project=project, recipe=name)
        return project

    return filled


def test_it_works(api, worker, filled):
    project = filled("only")
    answer = api.get(URL, worker=worker)
    assert answer.status == 200
    assert answer.content["task"]["recipe"] == "only"
    assert answer.content["task"]["project"]["id"] == project.pk
    assert Task.objects.get().assignee_id == worker.worker.pk
    nothing = api.get(URL, worker=worker)
    assert (nothing.ok, nothing.message) == (False, "No task available")
    assert nothing.content == {"reason": "empty"}
    assert int(nothing.headers["Retry-After"]) > 0


def test_highest_project_priority_first(api, worker, filled):
    for priority in (3, 9, 0, 5):
        TaskFactory(project=filled(f"p{priority}", priority=priority), priority=5, recipe=f"first of p{priority}")
    answer = api.get(f"{URL}?count=5", worker=worker)
    assert [task["recipe"] for task in answer.content["tasks"]] == [
        *("first of p9", "p9", "first of p5", "p5", "first of p3"),
    ]
    assert [task["project"]["name"] for task in answer.content["tasks"]] == ["p9", "p9", "p5", "p5", "p3"]


def test_equal_projects_take_turns(api, worker, filled):
    for name in "abcd":
        filled(name, tasks=40)
    given = Counter(api.get(URL, worker=worker).content["task"]["recipe"] for _ in range(80))
    # The chance that a given project is never chosen in 80 calls is 1e-10.
    assert set(given) == {"a", "b", "c", "d"}


def test_only_from_projects_that_the_worker_may_lease_from(api, worker, filled):
    filled("private", private=True)
    filled("hidden", secluded=True)
    filled("paused", paused=True)
    assert not api.get(URL, worker=worker).ok
    granted = {filled("my private", private=True), filled("my hidden", secluded=True)}
    for project in granted:
        grant(worker, project, assign=True)
    answer = api.get(f"{URL}?count=10", worker=worker)
    assert {task["recipe"] for task in answer.content["tasks"]} == {"my private", "my hidden"}


def test_rate_limited_project_is_skipped(api, worker, filled):
    filled("limited", tasks=3, priority=9, assign_rate=0.01)
    filled("other", tasks=1)
    began = now()
    given = [api.get(URL, worker=worker).content["task"]["recipe"] for _ in range(2)]
    assert given == ["limited", "other"]
    refused = api.get(URL, worker=worker)
    assert refused.status == 429
    assert 100 - seconds_since(began) < refused.json["rate_limit_delay"] <= 100


def test_skips_a_project_whose_tasks_it_has_verified(api, worker, filled):
    mine = ProjectFactory(priority=9)
    TaskFactory(project=mine, verification_count=2, voters=[worker.worker.pk], votes=[1])
    filled("other")
    assert api.get(URL, worker=worker).content["task"]["recipe"] == "other"
    assert api.get(URL, worker=worker).content == {"reason": "empty"}


def test_skips_many_projects_whose_tasks_it_has_verified(api, worker, filled):
    for _ in range(30):
        TaskFactory(project__priority=9, verification_count=2, voters=[worker.worker.pk], votes=[1])
    filled("other")
    assert api.get(URL, worker=worker).content["task"]["recipe"] == "other"


def test_leases_an_expired_task(api, worker, other_worker, filled):
    filled("left")
    task = api.get(URL, worker=other_worker).content["task"]
    assert not api.get(URL, worker=worker).ok
    expire(task["id"])
    assert api.get(URL, worker=worker).content["task"]["id"] == task["id"]


def test_paused_worker(api, worker, filled):
    filled("any")
    worker.worker.paused = True
    worker.worker.save()
    answer = api.get(URL, worker=worker)
    assert answer.status == 403
    assert "paused" in answer.message


def test_tasks_leased_before_an_error_are_returned(api, worker, filled, monkeypatch):
    first, second = filled("first", priority=2), filled("second", priority=1)
    really = queue.lease_many.steps

    def steps(*, project_id, **options):
        if project_id == second.pk:
            raise queue.WorkerPaused
        return really(project_id=project_id, **options)

    monkeypatch.setattr(queue.lease_many, "steps", steps)
    answer = api.get(f"{URL}?count=5", worker=worker)
    assert [task["project"]["id"] for task in answer.content["tasks"]] == [first.pk]
    assert api.get(URL, worker=worker).status == 403
