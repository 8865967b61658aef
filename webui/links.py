"""The addresses of pages about one thing, such as a task or a worker, for whatever names one."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from django.http import HttpRequest

from projects.models import Project
from projects.roles import Role
from tasks.models import ClosedTask, Task
from workers.models import Worker


def task_pages(request: HttpRequest, task_ids: Collection[int]) -> dict[int, str]:
    """The addresses of the pages of these tasks, by id: of those that are there and that the visitor may see."""
    if not task_ids or not request.user.is_authenticated:
        return {}
    visible = Project.objects.with_role(request.user, Role.READ).order_by().values("pk")
    found: set[int] = set()
    for kind in (Task, ClosedTask):
        found.update(kind.objects.filter(pk__in=task_ids, project__in=visible).values_list("pk", flat=True))
    return {task_id: f"/tasks/{task_id}/" for task_id in found}


def worker_page(worker_id: int | None) -> str | None:
    """The address of a worker's page, which is for managers; None for no worker."""
    return None if worker_id is None else f"/workers/{worker_id}/"


class Named(NamedTuple):
    """A worker: its alias is None if it was deleted, `page` the address of its page, if there is one."""

    id: int
    alias: str | None
    page: str | None


def named_workers(ids: Iterable[int | None]) -> dict[int, Named]:
    """The workers with these ids, deleted ones included."""
    wanted = {one for one in ids if one is not None}
    aliases = dict(Worker.objects.filter(pk__in=wanted).values_list("pk", "alias"))
    return {one: Named(one, aliases.get(one), worker_page(one) if one in aliases else None) for one in wanted}


def log_address(*, worker: int | None = None, task: int | None = None) -> str:
    """The address of what a worker has written, or of what was written about a task."""
    return f"/logs/?task={task}" if task is not None else f"/logs/?worker={worker}"


def failure_address(project_id: int, key: str) -> str:
    """The address of a group of failures; `key` is its fingerprint as text."""
    return f"/projects/{project_id}/failures/{key}/"


def failed_tasks_address(project_id: int, key: str) -> str:
    """The address of the list of the tasks that are FAILED for this."""
    return f"/projects/{project_id}/tasks/?failure={key}"
