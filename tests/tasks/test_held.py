"""`max_leases`: how many tasks of a project a worker may hold at once."""

import pytest
from django.db import connection

from tasks import queue
from tasks.models import Task
from tasks.queue import holding
from tests.clock import Clock
from tests.factories import ProjectFactory, TaskFactory, expire, grant, register

pytestmark = pytest.mark.django_db

FILL = "INSERT INTO tasks_task (project_id, recipe) SELECT %s, 'x' FROM generate_series(1, %s)"


@pytest.fixture
def project(db):
    """A project in which a worker may hold three."""
    project = ProjectFactory(max_leases=3)
    TaskFactory.create_batch(10, project=project)
    return project


def get(api, worker, project, query=""):
    return api.get(f"/task/get/{project.pk}{query}", worker=worker)


def lease(worker, project, count=1, **options):
    return queue.lease_many(worker=worker.worker, project_id=project.pk, count=count, **options)


def test_it_works(both_doors, worker, project):
    for _ in range(3):
        assert get(both_doors, worker, project).ok
    answer = get(both_doors, worker, project)
    assert (answer.status, answer.ok, answer.message) == (200, False, "No task available")
    assert answer.content == {"reason": "too_many_leases"}
    assert int(answer.headers["Retry-After"]) > 0
    assert Task.objects.filter(assignee=worker.worker.pk).count() == 3


def test_a_batch_ends_there(both_doors, worker, project):
    assert len(get(both_doors, worker, project, "?count=2").content["tasks"]) == 2
    assert len(get(both_doors, worker, project, "?count=5").content["tasks"]) == 1
    assert get(both_doors, worker, project, "?count=5").content == {"reason": "too_many_leases"}


def test_others_and_other_projects_are_of_no_account(api, worker, other_worker, project):
    other = ProjectFactory(max_leases=3)
    TaskFactory.create_batch(3, project=other)
    assert len(lease(worker, project, 10).tasks) == 3
    assert len(lease(other_worker, project, 10).tasks) == 3
    assert len(lease(worker, other, 10).tasks) == 3


@pytest.mark.parametrize("how", ["released", "expired"])
def test_a_lease_that_has_ended_makes_room(how, worker, project):
    first = lease(worker, project, 3).tasks[0]
    if how == "released":
        queue.release(worker=worker.worker, task_id=first.id, result=queue.Result.FAIL)
    else:
        expire(first.id)
    assert len(lease(worker, project, 3).tasks) == 1


def test_exchange(both_doors, worker, project):
    first, *_ = lease(worker, project, 3).tasks
    body = {"project": project.pk, "count": 5, "releases": [{"task_id": first.id, "result": 0}]}
    answer = both_doors.post("/task/exchange", body, worker=worker)
    assert (answer.content["updated"], len(answer.content["tasks"])) == (1, 1)
    answer = both_doors.post("/task/exchange", body, worker=worker)
    assert (answer.ok, answer.content["tasks"], answer.content["reason"]) == (True, [], "too_many_leases")


def test_any_project(both_doors, worker, project):
    assert len(both_doors.get("/task/get?count=5", worker=worker).content["tasks"]) == 3
    answer = both_doors.get("/task/get", worker=worker)
    assert (answer.ok, answer.content) == (False, {"reason": "too_many_leases"})
    other = TaskFactory(project__priority=0)
    assert both_doors.get("/task/get", worker=worker).content["task"]["id"] == other.pk


@pytest.mark.parametrize(("kind", "most"), [({"public": True}, 1_000), ({"private": True}, 10_000)])
def test_by_default(kind, most, worker):
    project = ProjectFactory(**kind)
    grant(worker, project, assign=True)
    with connection.cursor() as cursor:
        cursor.execute(FILL, [project.pk, most + 10])
        cursor.execute("ANALYZE tasks_task")
    leased = sum(len(lease(worker, project, 1000).tasks) for _ in range(most // 1000 + 1))
    assert leased == most
    assert lease(worker, project).reason == "too_many_leases"


@pytest.mark.django_db(transaction=True)
def test_calls_at_once(racing, project):
    """Near the limit, they wait for each other."""
    worker = register()
    racing([lambda: lease(worker, project, 2)] * 8)
    assert Task.objects.filter(assignee=worker.worker.pk).count() == 3


def test_the_project_says_it(api, project):
    assert api.get(f"/project/get/{project.pk}").content["max_leases"] == 3
    assert "max_leases" not in api.get(f"/project/get/{project.pk}").content["project"]


class TestSlowCounting:
    """While counting is slow, its result is remembered for a while."""

    @pytest.fixture
    def clock(self, monkeypatch):
        clock = Clock()
        monkeypatch.setattr("tasks.queue.leasing._allowances", holding.Allowances(clock))
        monkeypatch.setattr(holding, "PAGES", -1)
        return clock

    def test_the_limit_holds(self, worker, project, clock):
        assert [len(lease(worker, project, count).tasks) for count in (1, 1, 5, 5)] == [1, 1, 1, 0]
        assert lease(worker, project).reason == "too_many_leases"

    def test_a_release_counts_at_once_at_the_limit(self, worker, project, clock):
        first = lease(worker, project, 3).tasks[0]
        queue.release(worker=worker.worker, task_id=first.id, result=queue.Result.OK)
        assert len(lease(worker, project).tasks) == 1

    def test_it_is_counted_again(self, worker, project, clock):
        lease(worker, project)
        project.max_leases = 1
        project.save(update_fields=["max_leases"])
        assert lease(worker, project).tasks
        clock.now += holding.LONGEST_SECONDS
        assert lease(worker, project).reason == "too_many_leases"

    def test_memory_is_bounded(self, clock, monkeypatch):
        monkeypatch.setattr(holding, "MOST", 5)
        allowances = holding.Allowances(clock)
        for worker_id in range(12):
            allowances.note(worker_id, 1, allowed=5, pages=9, seconds=0.0, taken=1)
        assert len(allowances._known) <= 5
        assert allowances.of(11, 1, 1) == 4


class TestPlenty:
    """Far from the limit, a few leases are not counted."""

    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def allowances(self, clock):
        allowances = holding.Allowances(clock)
        allowances.note(1, 1, allowed=holding.PLENTY + 1, pages=1, seconds=0.0, taken=1)
        return allowances

    def test_it_works(self, allowances):
        assert allowances.of(1, 1, 1) == holding.FREE
        allowances.note(1, 1, allowed=None, pages=0, seconds=0.0, taken=5)
        assert allowances.of(1, 1, holding.FREE - 5) == holding.FREE - 5
        # Of more, as many as there may be have to be counted.
        assert allowances.of(1, 1, holding.FREE - 4) is None
        assert allowances.of(1, 1, 1) is None

    def test_not_for_long(self, allowances, clock):
        clock.now += holding.LONGEST_SECONDS
        assert allowances.of(1, 1, 1) is None

    def test_not_near_the_limit(self, allowances):
        allowances.note(2, 1, allowed=holding.PLENTY, pages=1, seconds=0.0, taken=1)
        assert allowances.of(2, 1, 1) is None
