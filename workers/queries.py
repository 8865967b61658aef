"""Read-only queries about workers."""

from typing import Any

from django.db.models import Case, F, Q, When

from projects.models import Project
from tracker.api import paging
from workers.models import WorkerAccess

#: Accesses with a pending request.
PENDING = Q(wants_assign=True) | Q(wants_submit=True)


def accesses_page(project: Project, *, after: int | None, limit: int) -> tuple[list[WorkerAccess], dict[str, Any]]:
    """Workers' access to the project, with the worker: pending requests first, oldest first.

    From behind the one of the worker `after` on; with what is said of the next page. Raises NotInTheList.
    """
    accesses = WorkerAccess.objects.filter(project=project)
    pending = Case(When(PENDING, then=0), default=1)
    ordered = accesses.order_by(pending, F("asked").asc(nulls_last=True), "pk").values_list("worker_id", flat=True)
    workers, following = paging.sliced(list(ordered), after=after, limit=limit)
    found = {one.worker_id: one for one in accesses.filter(worker__in=workers).select_related("worker")}
    return [found[worker] for worker in workers if worker in found], following
