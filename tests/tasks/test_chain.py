"""Closed tasks are copied to the next project of the chain."""

import pytest

from tasks.models import ClosedTask, Task
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def next_project(project):
    next_project = ProjectFactory()
    project.chain = next_project
    project.save()
    return next_project


@pytest.fixture
def finish(api, project):
    """Leases the next task and releases it."""

    def finish(worker, result=0, verification=1):
        task = api.get(f"/task/get/{project.pk}", worker=worker).content["task"]
        body = {"task_id": task["id"], "result": result, "verification": verification}
        return api.post("/task/release", body, worker=worker)

    return finish


def test_it_works(finish, worker, project, next_project):
    TaskFactory(
        project=project,
        recipe="on and on",
        priority=3,
        retries=1,
        max_retries=2,
        max_assign_time=60,
        hash64=-5,
        verification_count=1,
        voters=[SOMEBODY],
        votes=[2],
    )
    assert finish(worker).content["updated"]
    copy = Task.objects.get()
    assert copy.project == next_project
    assert (copy.recipe, copy.priority, copy.max_retries, copy.max_assign_time) == ("on and on", 3, 2, 60)
    assert (copy.hash64, copy.verification_count) == (-5, 1)
    assert (copy.retries, copy.status, copy.assignee, copy.voters, copy.votes) == (0, 1, None, [], [])
    assert ClosedTask.objects.get().project == project


def test_nothing_is_copied_if_the_hash_exists(finish, worker, project, next_project):
    TaskFactory(project=project, hash64=5)
    there = TaskFactory(project=next_project, hash64=5, recipe="first come")
    assert finish(worker).content["updated"]
    assert Task.objects.get() == there
    assert ClosedTask.objects.count() == 1


def test_without_hash_each_is_copied(finish, worker, project, next_project):
    TaskFactory.create_batch(2, project=project)
    finish(worker)
    finish(worker)
    assert next_project.tasks.count() == 2


@pytest.mark.parametrize("result", [1, 2])
def test_fail_and_skip_copy_nothing(finish, worker, project, next_project, result):
    TaskFactory(project=project)
    finish(worker, result=result)
    assert not next_project.tasks.exists()


def test_copied_once_after_enough_verifications(finish, worker, other_worker, project, next_project):
    TaskFactory(project=project, verification_count=2)
    finish(worker)
    assert not next_project.tasks.exists()
    finish(other_worker)
    assert next_project.tasks.get().verification_count == 2


def test_copied_without_retention(finish, worker, project, next_project):
    project.retention_days = 0
    project.save()
    TaskFactory(project=project)
    finish(worker)
    assert next_project.tasks.count() == 1


def test_submit_rate_of_the_next_project_does_not_apply(finish, worker, project, next_project):
    next_project.submit_rate = 0.001
    next_project.save()
    TaskFactory.create_batch(2, project=project)
    finish(worker)
    finish(worker)
    assert next_project.tasks.count() == 2
