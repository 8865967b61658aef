"""The number of pending access requests, for badges."""

from projects.roles import Role
from webui.scope import Scope
from workers.models import WorkerAccess
from workers.queries import PENDING

# From this number on, a badge shows 99+.
MANY = 100


def waiting_requests(scope: Scope) -> int:
    """The number of requests that are waiting for this manager's decision, at most MANY."""
    return scope.within(WorkerAccess.objects.filter(PENDING), Role.MANAGE_ACCESS)[:MANY].count()


def waiting_words(number: int) -> str:
    """The number as a badge shows it; empty for 0."""
    return f"{MANY - 1}+" if number >= MANY else str(number or "")
