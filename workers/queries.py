"""Read-only queries about workers."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import Case, Q, Value, When
from django.db.models.functions import Coalesce

from projects.models import Project
from tracker.api import paging
from workers.models import OperatorMark, WorkerAccess

#: Accesses with a pending request.
PENDING = Q(wants_assign=True) | Q(wants_submit=True)
#: Accesses with a granted permission.
GRANTED = Q(assign=True) | Q(submit=True)

# Those granted unasked come last.
_LAST = Value(datetime(9999, 1, 1, tzinfo=UTC))


def accesses_page(project: Project, *, after: int | None, limit: int) -> tuple[list[WorkerAccess], dict[str, Any]]:
    """Workers' access to the project, with the worker: pending requests first, oldest first.

    From behind the one of the worker `after` on; with what is said of the next page. Raises NotInTheList.
    """
    settled = Case(When(PENDING, then=0), default=1)
    accesses = WorkerAccess.objects.filter(project=project).annotate(settled=settled, since=Coalesce("asked", _LAST))
    beyond = accesses
    if after is not None:
        last = accesses.filter(worker=after).first()
        if last is None:
            raise paging.NotInTheList
        later = Q(since__gt=last.since) | Q(since=last.since, pk__gt=last.pk)
        beyond = accesses.filter(Q(settled__gt=last.settled) | Q(settled=last.settled) & later)
    rows = beyond.order_by("settled", "since", "pk").select_related("worker")[: limit + 1]
    return paging.cut(list(rows), limit=limit, key="worker_id")


def operators_in(project: int, workers: Iterable[int]) -> dict[int, str]:
    """What managers call the operator of these workers in the project, by worker; of those that are marked."""
    marks = OperatorMark.objects.filter(project=project, worker__in=list(workers))
    return dict(marks.values_list("worker", "operator"))


def operators_of(worker: int, projects: Iterable[int]) -> dict[int, str]:
    """The same for one worker in these projects, by project."""
    marks = OperatorMark.objects.filter(worker=worker, project__in=list(projects))
    return dict(marks.values_list("project", "operator"))
