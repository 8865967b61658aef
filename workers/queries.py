"""Questions about workers."""

from projects.models import Project
from workers.models import WorkerAccess


def accesses_of(project: Project) -> list[WorkerAccess]:
    """Every worker's access to the project, with its worker: what waits for a decision first, the oldest first."""
    accesses = WorkerAccess.objects.filter(project=project).select_related("worker")
    return sorted(accesses.order_by("asked", "pk"), key=lambda access: not access.is_pending)
