"""Read-only queries about workers."""

from django.db.models import Q

from projects.models import Project
from workers.models import WorkerAccess

#: Accesses with a pending request.
PENDING = Q(wants_assign=True) | Q(wants_submit=True)


def accesses_of(project: Project) -> list[WorkerAccess]:
    """All workers' access to the project, with the worker: pending requests first, oldest first."""
    accesses = WorkerAccess.objects.filter(project=project).select_related("worker")
    return sorted(accesses.order_by("asked", "pk"), key=lambda access: not access.is_pending)
