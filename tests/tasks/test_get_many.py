"""GET /task/get/:project?count=."""

import pytest
from django.utils import timezone

from projects.models import RateBucket
from tasks import queue
from tasks.models import Task
from tests.clock import now, seconds_since
from tests.factories import SOMEBODY, SOMEBODY_ELSE, ProjectFactory, TaskFactory, expire, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(api, worker, project):
    """Leases up to `count` tasks, by default for `worker` from `project`."""

    def get(count, worker=worker, project=project):
        return api.get(f"/task/get/{project.pk}?count={count}", worker=worker)

    return get


def recipes(answer):
    return [task["recipe"] for task in answer.content["tasks"]]


def fill(project, *priorities, **columns):
    """A task for each priority; its recipe is "<priority>.<index>"."""
    return [
        TaskFactory(project=project, priority=priority, recipe=f"{priority}.{place}", **columns)
        for place, priority in enumerate(priorities)
    ]


def test_it_works(api, get, project, worker):
    fill(project, 1, 5, 1, 9)
    answer = get(3)
    assert answer.status == 200
    assert recipes(answer) == ["9.3", "5.1", "1.0"]
    assert Task.objects.filter(assignee=worker.worker.pk).count() == 3
    alone = api.get(f"/task/get/{project.pk}", worker=worker).content["task"]
    assert set(answer.content["tasks"][0]) == set(alone)
    assert answer.content["tasks"][0]["project"] == alone["project"]
    assert len({task["lease"] for task in answer.content["tasks"]}) == 3


def test_gives_all_tasks_if_there_are_fewer(get, project):
    fill(project, *range(5))
    assert len(recipes(get(1000))) == 5
    nothing = get(1000)
    assert (nothing.status, nothing.ok, nothing.message) == (200, False, "No task available")
    assert nothing.content == {"reason": "empty"}


def test_count_of_one_returns_a_list(get, project):
    fill(project, 0)
    assert recipes(get(1)) == ["0.0"]


@pytest.mark.parametrize("count", ["0", "-1", "1001", "x", "1.5", "", "99999999999999999999"])
def test_invalid_count(get, project, count):
    fill(project, 0)
    answer = get(count)
    assert answer.status == 400
    assert answer.message.startswith("count: must be a whole number from 1 to 1000")
    assert not Task.objects.filter(assignee__isnull=False).exists()


def test_expired_leases_fill_up_the_batch(get, project, worker, other_worker):
    fill(project, 1, 2)
    for task in queue.lease_many(project_id=project.pk, worker=other_worker.worker, count=2).tasks:
        expire(task.id)
    fill(project, 0)
    first, second = recipes(get(2)), recipes(get(2))
    assert "0.0" in first
    assert sorted(first + second) == ["0.0", "1.0", "2.1"]


def test_costs_as_many_tokens_as_it_gives(get, api, project):
    project.assign_rate = 0.5
    project.save()
    fill(project, *range(10))
    began = now()
    assert len(recipes(get(7))) == 7
    refused = get(1)
    assert refused.status == 429
    assert 14 - seconds_since(began) < refused.json["rate_limit_delay"] <= 14


def test_no_token_is_taken_without_a_task(get, project):
    project.assign_rate = 0.001
    project.save()
    assert not get(5).ok
    fill(project, 1)
    assert len(recipes(get(5))) == 1


class TestVerified:
    """Tasks that others have verified are given in order, those that the worker itself has verified never."""

    def test_are_given_in_order(self, get, project):
        fill(project, 5, 3)
        fill(project, 4, 2, verification_count=2, voters=[SOMEBODY], votes=[1])
        assert recipes(get(3)) == ["5.0", "4.0", "3.1"]
        assert recipes(get(3)) == ["2.1"]

    def test_one_by_one(self, get, project):
        fill(project, 5, 3)
        fill(project, 4, 2, verification_count=2, voters=[SOMEBODY], votes=[1])
        assert [recipes(get(1))[0] for _ in range(4)] == ["5.0", "4.0", "3.1", "2.1"]

    def test_count_once(self, get, project, other_worker):
        """Towards the requested count, and for the rate limit."""
        project.assign_rate = 0.5
        project.save()
        TaskFactory(project=project, recipe="left")
        expire(queue.lease(project=project, worker=other_worker.worker).id)
        RateBucket.objects.update(next_at=timezone.now())
        fill(project, 4, 2, verification_count=2, voters=[SOMEBODY], votes=[1])
        began = now()
        assert recipes(get(3)) == ["4.0", "2.1", "left"]
        refused = get(1)
        assert 6 - seconds_since(began) < refused.json["rate_limit_delay"] <= 6

    def test_own_ones_are_skipped(self, get, project, worker):
        mine = {"verification_count": 3, "votes": [1]}
        fill(project, *[9] * 300, voters=[worker.worker.pk], **mine)
        fill(project, *[8] * 300, voters=[SOMEBODY, worker.worker.pk], verification_count=3, votes=[1, 2])
        fill(project, 7, voters=[SOMEBODY], **mine)
        fill(project, 6)
        fill(project, 5, voters=[SOMEBODY_ELSE], **mine)
        assert recipes(get(1)) == ["7.0"]
        assert recipes(get(5)) == ["6.0", "5.0"]
        assert get(5).content == {"reason": "verified_all"}

    def test_others_among_own_ones(self, get, project, worker):
        votes = {"verification_count": 2, "votes": [1]}
        fill(project, *range(10), voters=[worker.worker.pk], **votes)
        TaskFactory.create_batch(10, project=project, priority=4, voters=[SOMEBODY], **votes)
        assert len(recipes(get(100))) == 10

    def test_more_voters_than_an_index_holds(self, get, project, worker):
        crowd = list(range(-1000, 0))
        votes = {"verification_count": 2000, "votes": [1] * 1000}
        fill(project, *[9] * 200, voters=[*crowd[1:], worker.worker.pk], **votes)
        fill(project, 1, voters=crowd, **votes)
        assert recipes(get(1)) == ["1.0"]
        assert get(1).content == {"reason": "verified_all"}


def test_gives_no_tasks_of_another_project(get, project):
    fill(ProjectFactory(), 1, 2, 3)
    fill(project, 0)
    assert recipes(get(10)) == ["0.0"]


@pytest.mark.django_db(transaction=True)
def test_racing_batches(racing):
    project = ProjectFactory()
    TaskFactory.create_batch(200, project=project)
    TaskFactory.create_batch(200, project=project, verification_count=2, voters=[SOMEBODY], votes=[1])

    def drain():
        worker = register().worker
        ids = []
        for count in (7, 30, 1, 100) * 30:
            ids += [task.id for task in queue.lease_many(worker=worker, project_id=project.pk, count=count).tasks]
        return ids

    outcomes = racing([drain] * 6)
    assert sorted(task_id for ids in outcomes for task_id in ids) == sorted(Task.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("query", ["cuont=3", "count=3&limit=1", "=3", "COUNT=3", "count=3&wait=0&x"])
def test_unknown_parameter(api, project, worker, query):
    task = TaskFactory(project=project)
    for path in (f"/task/get/{project.pk}", "/task/get"):
        answer = api.get(f"{path}?{query}", worker=worker)
        assert answer.status == 400
        assert answer.message.endswith("is no parameter of this address; it takes count and wait.")
    task.refresh_from_db()
    assert task.assignee is None
