"""What goes into the queue's verbs and comes out of them, and the errors that they raise."""

from enum import IntEnum
from typing import NamedTuple

from projects.lookup import ProjectFields
from tracker.api.errors import Conflict, Forbidden

BULK_LIMIT = 10_000
# Tasks that one call may lease or release.
BATCH_LIMIT = 1_000


class Result(IntEnum):
    """What a worker reports of a task."""

    OK = 0
    FAIL = 1
    SKIP = 2


class NewTask(NamedTuple):
    """A task to be stored. `hash64` is None for none; the rest as in tasks.models.Task."""

    recipe: str
    priority: int = 0
    max_retries: int = 0
    max_assign_time: int = 0
    hash64: int | None = None
    verification_count: int = 0


class Stored(NamedTuple):
    """What became of one task of a batch: its id, or with `duplicate` that of the task that has its hash."""

    id: int | None
    duplicate: bool


class LeasedTask(NamedTuple):
    """A task as its worker gets it. `assign_time` in Unix seconds; `lease` is the opaque id of the lease."""

    id: int
    priority: int
    assignee: int
    retries: int
    max_retries: int
    status: int
    recipe: str
    max_assign_time: int
    verification_count: int
    assign_time: int
    lease: str
    project: ProjectFields


class Leased(NamedTuple):
    """The tasks that were leased, in the order of leasing, or why there are none.

    A `reason` is empty, verified_all, project_paused or no_access; after an exchange also worker_paused, or
    rate_limited, and then `delay` is how many seconds to wait.
    """

    tasks: list[LeasedTask]
    reason: str | None = None
    delay: float | None = None


class Report(NamedTuple):
    """What a worker reports of a task. With `lease`, only that one is ended, not a later one of the same worker."""

    task_id: int
    result: Result
    verification: int = 0
    lease: str | None = None


class Released(NamedTuple):
    """What a release did. `missing` counts the agreeing verifications that the task still needs."""

    held: bool
    missing: int = 0

    @property
    def updated(self) -> bool:
        return self.held and not self.missing


class DuplicateTask(Conflict):
    """A task with this hash is already in the project."""


class WorkerPaused(Forbidden):
    """This worker is paused; a tracker admin can resume it."""
