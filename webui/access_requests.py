"""Workers' access requests: how many are waiting, for badges, and deciding on many."""

from collections.abc import Callable, Iterable

from projects.roles import Role
from webui.scope import Scope
from workers.models import WorkerAccess
from workers.queries import PENDING
from workers.services import NothingAsked

# From this number on, a badge shows 99+.
MANY = 100


def waiting_requests(scope: Scope) -> int:
    """The number of requests that are waiting for this manager's decision, at most MANY."""
    return scope.within(WorkerAccess.objects.filter(PENDING), Role.MANAGE_ACCESS)[:MANY].count()


def waiting_words(number: int) -> str:
    """The number as a badge shows it; empty for 0."""
    return f"{MANY - 1}+" if number >= MANY else str(number or "")


def decide_each(accesses: Iterable[WorkerAccess], decide: Callable[..., None]) -> int:
    """Decide on each request by the service that decides on one. Returns how many were decided."""
    number = 0
    for access in accesses:
        try:
            decide(project=access.project, worker_id=access.worker_id)
        except NothingAsked:
            # Another manager decided in the meantime.
            continue
        number += 1
    return number
