"""GET /task/get/:project."""

import math
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from projects.models import RateBucket
from tasks import queue
from tasks.models import Task
from tests.clock import now, seconds_since
from tests.factories import ProjectFactory, TaskFactory, expire, grant
from tracker import db
from workers.models import Worker

pytestmark = pytest.mark.django_db


def url(project):
    return f"/task/get/{project.pk}"


def leased_recipes(api, project, worker, count):
    return [api.get(url(project), worker=worker).content["task"]["recipe"] for _ in range(count)]


def assert_nothing(answer, reason):
    assert answer.status == 200
    assert not answer.ok
    assert answer.message == "No task available"
    assert answer.content == {"reason": reason}
    assert int(answer.headers["Retry-After"]) > 0


def test_it_works(api, worker):
    project = ProjectFactory(
        priority=999, clone_url="http://github.com/test/test", git_repo="myrepo", version="1.0", assign_rate=2
    )
    task = TaskFactory(project=project, recipe="test recipe", priority=1, max_retries=3)
    # The same throughout the test's transaction.
    (now,) = db.one("SELECT floor(extract(epoch FROM now()))::bigint")
    answer = api.get(url(project), worker=worker)
    assert answer.status == 200
    content = answer.content["task"]
    assert content.pop("assign_time") == now
    stored = Task.objects.get()
    assert content == {
        "id": task.pk,
        "priority": 1,
        "assignee": worker.worker.pk,
        "retries": 0,
        "max_retries": 3,
        "status": 1,
        "recipe": "test recipe",
        "max_assign_time": 0,
        "verification_count": 0,
        "lease": str(stored.lease),
        "project": {
            "id": project.pk,
            "priority": 999,
            "name": project.name,
            "clone_url": "http://github.com/test/test",
            "git_repo": "myrepo",
            "version": "1.0",
            "motd": "",
            "public": True,
            "hidden": False,
            "chain": 0,
            "paused": False,
            "assign_rate": 2,
            "submit_rate": 0,
        },
    }
    assert stored.assignee == worker.worker
    assert stored.status == Task.Status.NEW


@pytest.mark.parametrize("wait", ["0", "1", "20"])
def test_wait(api, worker, project, wait):
    """Here nothing can wait, so the answer comes at once; tests/tasks/test_waiting.py has the waiting."""
    assert_nothing(api.get(f"{url(project)}?wait={wait}", worker=worker), "empty")
    TaskFactory(project=project)
    assert api.get(f"{url(project)}?wait={wait}", worker=worker).content["task"]
    TaskFactory(project=project)
    assert len(api.get(f"/task/get?wait={wait}&count=2", worker=worker).content["tasks"]) == 1


@pytest.mark.parametrize("wait", ["21", "-1", "", "x", "1.5", "9" * 30])
@pytest.mark.parametrize("path", ["/task/get", "/task/get/{}"])
def test_wrong_wait(api, worker, project, path, wait):
    TaskFactory(project=project)
    answer = api.get(f"{path.format(project.pk)}?wait={wait}", worker=worker)
    assert answer.status == 400
    assert answer.message.startswith("wait: ")
    assert not Task.objects.exclude(assignee=None)


def test_task_comes_first_in_the_response(api, worker, project):
    # The shell commands that `serve` prints look for the id there.
    TaskFactory(project=project)
    assert api.get(url(project), worker=worker).response.content.startswith(b'{"ok":true,"content":{"task":{"id":')


def test_api_prefix(api, worker, project):
    TaskFactory(project=project)
    assert api.get(f"/api{url(project)}", worker=worker).ok


def test_highest_priority_first_then_oldest(api, worker, project):
    for recipe, priority in (("a", 0), ("b", 5), ("c", -5), ("d", 5), ("e", 0)):
        TaskFactory(project=project, recipe=recipe, priority=priority)
    assert leased_recipes(api, project, worker, 5) == ["b", "d", "a", "e", "c"]


def test_every_lease_has_a_different_id(api, worker, project):
    TaskFactory.create_batch(2, project=project)
    first, second = (api.get(url(project), worker=worker).content["task"]["lease"] for _ in range(2))
    assert first != second


def test_tasks_of_other_projects_are_not_given(api, worker, project):
    TaskFactory()
    assert_nothing(api.get(url(project), worker=worker), "empty")


def test_leased_and_failed_are_not_given(api, worker, other_worker, project):
    TaskFactory(project=project)
    TaskFactory(project=project, status=Task.Status.FAILED)
    assert api.get(url(project), worker=other_worker).ok
    assert_nothing(api.get(url(project), worker=worker), "leased")


def test_empty(api, worker, project):
    assert_nothing(api.get(url(project), worker=worker), "empty")


def test_paused_project(api, worker, project):
    TaskFactory(project=project)
    project.paused = True
    project.save()
    assert_nothing(api.get(url(project), worker=worker), "project_paused")


def test_private_project_without_access(api, worker):
    project = ProjectFactory(private=True)
    TaskFactory(project=project)
    assert_nothing(api.get(url(project), worker=worker), "no_access")


def test_hidden_project_without_access_is_not_found(api, worker):
    project = ProjectFactory(secluded=True)
    TaskFactory(project=project)
    hidden, missing = api.get(url(project), worker=worker), api.get("/task/get/999999999", worker=worker)
    assert hidden.status == missing.status == 404
    assert hidden.message.replace(str(project.pk), "N") == missing.message.replace("999999999", "N")


def test_verified_all(api, worker, other_worker, project):
    TaskFactory(project=project, verification_count=2, voters=[worker.worker.pk], votes=[1])
    assert_nothing(api.get(url(project), worker=worker), "verified_all")
    assert api.get(url(project), worker=other_worker).ok
    assert_nothing(api.get(url(project), worker=worker), "leased")


def test_skips_tasks_that_the_worker_has_verified(api, worker, project):
    TaskFactory(project=project, priority=9, verification_count=2, voters=[5, worker.worker.pk], votes=[1, 2])
    TaskFactory(project=project, recipe="mine")
    assert leased_recipes(api, project, worker, 1) == ["mine"]


def test_needs_identity(api, project):
    TaskFactory(project=project)
    assert api.get(url(project)).status == 401


def test_paused_worker(api, worker, project):
    TaskFactory(project=project)
    Worker.objects.update(paused=True)
    answer = api.get(url(project), worker=worker)
    assert answer.status == 403
    assert "paused" in answer.message
    assert not Task.objects.filter(assignee__isnull=False).exists()
    Worker.objects.update(paused=False)
    assert api.get(url(project), worker=worker).ok


@pytest.mark.parametrize("path", ["/task/get/", "/task/get/99999999999999999999"])
def test_path_without_a_valid_project(api, worker, path):
    assert api.get(path, worker=worker).status == 404


@pytest.mark.parametrize(("max_assign_time", "seconds"), [(0, 77), (5, 5), (2**31 - 1, 2**31 - 1)])
def test_how_long_a_lease_lasts(api, worker, max_assign_time, seconds):
    project = ProjectFactory(lease_seconds=77)
    TaskFactory(project=project, max_assign_time=max_assign_time)
    api.get(url(project), worker=worker)
    task = Task.objects.get()
    assert (task.lease_expires - task.assign_time).total_seconds() == seconds


def test_leases_expired_tasks_when_nothing_else_is_left(api, worker, other_worker, project):
    old = TaskFactory(project=project, recipe="old", priority=9)
    first = api.get(url(project), worker=worker).content["task"]["lease"]
    expire(old)
    TaskFactory(project=project, recipe="fresh")
    assert leased_recipes(api, project, other_worker, 2) == ["fresh", "old"]
    old.refresh_from_db()
    assert old.assignee == other_worker.worker
    assert str(old.lease) != first
    assert old.lease_expires > timezone.now()
    assert_nothing(api.get(url(project), worker=worker), "leased")


def test_expired_task_is_not_given_to_a_worker_that_verified_it(api, worker, other_worker, project):
    task = TaskFactory(project=project, verification_count=2, voters=[worker.worker.pk], votes=[1])
    assert api.get(url(project), worker=other_worker).ok
    expire(task)
    assert_nothing(api.get(url(project), worker=worker), "leased")
    assert api.get(url(project), worker=other_worker).ok


def test_rate_limit(api, worker):
    project = ProjectFactory(assign_rate=0.01)
    TaskFactory.create_batch(2, project=project)
    began = now()
    assert api.get(url(project), worker=worker).ok
    answer = api.get(url(project), worker=worker)
    assert answer.status == 429
    assert 100 - seconds_since(began) < answer.json["rate_limit_delay"] <= 100
    assert answer.headers["Retry-After"] == str(math.ceil(answer.json["rate_limit_delay"]))
    assert Task.objects.filter(assignee__isnull=False).count() == 1
    RateBucket.objects.update(next_at="2020-01-01T00:00:00Z")
    assert api.get(url(project), worker=worker).ok


def test_rate_limit_is_shared_by_workers(api, worker, other_worker):
    project = ProjectFactory(assign_rate=0.01)
    TaskFactory.create_batch(2, project=project)
    assert api.get(url(project), worker=worker).ok
    assert api.get(url(project), worker=other_worker).status == 429


def test_only_a_granted_lease_costs_a_token(api, worker):
    project = ProjectFactory(assign_rate=0.01)
    for _ in range(3):
        assert_nothing(api.get(url(project), worker=worker), "empty")
    TaskFactory(project=project)
    assert api.get(url(project), worker=worker).ok
    assert api.get(url(project), worker=worker).status == 429


def test_submit_rate_does_not_limit_leases(api, worker):
    project = ProjectFactory(submit_rate=0.01)
    TaskFactory.create_batch(3, project=project)
    assert len(leased_recipes(api, project, worker, 3)) == 3


def test_idle_time_saves_up_no_tokens(api, worker):
    project = ProjectFactory(assign_rate=0.01)
    TaskFactory.create_batch(3, project=project)
    RateBucket.objects.create(project=project, kind="assign", next_at="2020-01-01T00:00:00Z")
    assert api.get(url(project), worker=worker).ok
    assert api.get(url(project), worker=worker).status == 429


def test_changes_of_access_apply_at_once(api, worker):
    project = ProjectFactory(private=True)
    TaskFactory.create_batch(2, project=project)
    assert not api.get(url(project), worker=worker).ok
    access = grant(worker, project, assign=True)
    assert api.get(url(project), worker=worker).ok
    access.delete()
    assert not api.get(url(project), worker=worker).ok


def test_only_a_lease_does_not_wait_for_the_disk(project, worker, submitter):
    def waits():
        return db.one("SHOW synchronous_commit")[0] == "on"

    queue.submit(worker=submitter.worker, project_id=project.pk, task=queue.NewTask("x"))
    assert waits()
    with transaction.atomic():
        task = queue.lease(project=project, worker=worker.worker)
        assert not waits()
        transaction.set_rollback(True)
    TaskFactory(project=project)
    assert waits()
    Task.objects.update(assignee=worker.worker, lease=uuid4(), assign_time=Now(), lease_expires=Now())
    for task_id in Task.objects.values_list("pk", flat=True):
        queue.release(worker=worker.worker, task_id=task_id, result=queue.Result.OK)
    assert not Task.objects.exists()
    assert waits()
    assert task is not None
