"""How many of the workers' requests for access wait for a manager's decision."""

from projects.roles import Role
from webui.scope import Scope
from workers.models import WorkerAccess
from workers.queries import PENDING

# A badge tells no more than that there are many.
MANY = 100


def waiting_requests(scope: Scope) -> int:
    """How many requests wait for this manager's decision, MANY at most."""
    return scope.within(WorkerAccess.objects.filter(PENDING), Role.MANAGE_ACCESS)[:MANY].count()


def waiting_words(number: int) -> str:
    """The number for a badge; empty for none."""
    return f"{MANY - 1}+" if number >= MANY else str(number or "")
