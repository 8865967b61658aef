"""Tasks: the queue, the closed tasks that are kept, and what became of each lease.

docs/task-lifecycle.md shows the states of a task. The transitions are in tasks.queue; those that managers make are in
tasks.maintenance.
"""

from tasks.models.ageing import Ageing
from tasks.models.attempts import Attempt, FailureGroup, Outcome, Reason
from tasks.models.closed import ClosedEntry, ClosedTask, ClosedTotal, Settled
from tasks.models.repeatable import Repeatable
from tasks.models.tallies import OutcomeEntry, ProjectTally, WorkerTally
from tasks.models.task import AWAITING, READY_TASKS, Task

__all__ = [
    "AWAITING",
    "READY_TASKS",
    "Ageing",
    "Attempt",
    "ClosedEntry",
    "ClosedTask",
    "ClosedTotal",
    "FailureGroup",
    "Outcome",
    "OutcomeEntry",
    "ProjectTally",
    "Reason",
    "Repeatable",
    "Settled",
    "Task",
    "WorkerTally",
]
