"""Where pages lead to for a task and for a worker."""

from collections.abc import Iterable

from django.http import HttpRequest

from tasks.models import ClosedTask, Task
from webui.scope import scope_of


def task_addresses(task_ids: Iterable[int]) -> dict[int, str]:
    """The address at which each of these tasks is shown; those that are not kept any more have none."""
    sought = set(task_ids)
    known = Task.objects.filter(pk__in=sought).values_list("pk", flat=True)
    closed = ClosedTask.objects.filter(pk__in=sought).values_list("pk", flat=True)
    return {task: f"/admin/tasks/closedtask/{task}/change/" for task in closed} | {
        task: f"/admin/tasks/task/{task}/change/" for task in known
    }


def worker_address(request: HttpRequest, worker_id: int) -> str:
    """The address at which a worker is shown: for tracker admins its page, for others what it has reported."""
    return f"/admin/workers/worker/{worker_id}/change/" if scope_of(request).everywhere else log_address(worker_id)


def log_address(worker_id: int) -> str:
    """The address of what a worker has reported."""
    return f"/logs/?worker={worker_id}"


def failure_address(project_id: int, key: str) -> str:
    """The address of a group of failures; `key` is its fingerprint as text."""
    return f"/projects/{project_id}/failures/{key}/"


def failed_tasks_address(project_id: int, key: str) -> str:
    """The address of the list of the tasks that are FAILED for this."""
    return f"/admin/tasks/task/?project={project_id}&failure={key}"
