"""The addresses of the pages of tasks and workers, for whatever names one.

Here they are switched on: None means that there is no such page, and that nothing links to it.
"""

from collections.abc import Collection

from django.http import HttpRequest

from projects.models import Project
from tasks.models import ClosedTask, Task

TASK: str | None = None
WORKER: str | None = None


def task_pages(request: HttpRequest, task_ids: Collection[int]) -> dict[int, str]:
    """The addresses of the pages of these tasks, by id: of those that are there and that the visitor may see."""
    if TASK is None or not task_ids:
        return {}
    visible = Project.objects.visible_to(request.user).order_by().values("pk")
    found: set[int] = set()
    for kind in (Task, ClosedTask):
        found.update(kind.objects.filter(pk__in=task_ids, project__in=visible).values_list("pk", flat=True))
    return {task_id: TASK.format(task_id) for task_id in found}


def worker_page(worker_id: int | None) -> str | None:
    """The address of a worker's page."""
    return None if WORKER is None or worker_id is None else WORKER.format(worker_id)
