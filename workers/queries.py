"""Questions about workers. They only read."""

from django.db.models import Q

from projects.models import Project
from workers.models import WorkerAccess

#: Accesses with something that a manager has to decide on.
PENDING = Q(wants_assign=True) | Q(wants_submit=True)


def accesses_of(project: Project) -> list[WorkerAccess]:
    """Every worker's access to the project, with its worker: what waits for a decision first, the oldest first."""
    accesses = WorkerAccess.objects.filter(project=project).select_related("worker")
    return sorted(accesses.order_by("asked", "pk"), key=lambda access: not access.is_pending)
