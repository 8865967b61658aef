"""Factories for rows. A worker is returned as a Registration, which includes its secret."""

import factory
from factory.django import DjangoModelFactory

from accounts.models import User
from projects.models import Project
from tasks.models import FailureGroup, Outcome, Task
from workers.models import Worker, WorkerAccess
from workers.services import Registration, create_worker

#: Voters with ids that no worker has, so that every worker may still lease the tasks that they voted on.
SOMEBODY, SOMEBODY_ELSE = -1, -2


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"manager{n}")


class ProjectFactory(DjangoModelFactory):
    class Meta:
        model = Project

    name = factory.Sequence(lambda n: f"project {n}")
    public = True

    class Params:
        private = factory.Trait(public=False)
        secluded = factory.Trait(public=False, hidden=True)


class TaskFactory(DjangoModelFactory):
    class Meta:
        model = Task

    project = factory.SubFactory(ProjectFactory)
    recipe = factory.Sequence(lambda n: f"recipe {n}")


class FailureGroupFactory(DjangoModelFactory):
    """A group of failures whose attempts are not kept any more."""

    class Meta:
        model = FailureGroup

    project = factory.SubFactory(ProjectFactory)
    fingerprint = factory.Sequence(lambda n: n - 2)
    outcome = Outcome.FAILED
    message = factory.Sequence(lambda n: f"failure {n}")
    count = 1
    first_seen = last_seen = "2026-01-01T00:00:00Z"
    example = 0
    workers = factory.LazyFunction(list)
    versions = factory.LazyFunction(list)


def register(alias: str = "worker", **columns: object) -> Registration:
    """A worker with its secret; `columns` are set on its row."""
    registration = create_worker(alias=alias)
    if columns:
        Worker.objects.filter(pk=registration.worker.pk).update(**columns)
        registration.worker.refresh_from_db()
    return registration


def grant(registration: Registration, project: Project, *, assign: bool = False, submit: bool = False) -> WorkerAccess:
    return WorkerAccess.objects.create(worker=registration.worker, project=project, assign=assign, submit=submit)


def expire(task: Task | int) -> None:
    """Make the lease of a task expired."""
    pk = task if isinstance(task, int) else task.pk
    Task.objects.filter(pk=pk).update(lease_expires="2020-01-01T00:00:00Z")
