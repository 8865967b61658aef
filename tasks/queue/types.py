"""The arguments, results and errors of the queue's calls."""

from enum import IntEnum
from typing import NamedTuple

from projects.lookup import ProjectFields
from tracker.api.errors import Conflict, Forbidden

# How many tasks one call may submit, and lease or release.
BULK_LIMIT = 10_000
BATCH_LIMIT = 1_000
# How many seconds a worker may have a call wait for a task.
LONGEST_WAIT = 20


class Result(IntEnum):
    """The result that a worker reports for a task."""

    OK = 0
    FAIL = 1
    SKIP = 2


class NewTask(NamedTuple):
    """A task to be stored. `hash64` is None if it has no hash; the other fields are those of tasks.models.Task.

    `timing` says when it becomes ready and expires, if it does not do so at once and never: the JSON text of an object
    with `run_at` or `delay`, `expires_at` or `expires_in`, in Unix seconds or seconds from now.
    """

    recipe: str
    priority: int = 0
    max_retries: int = 0
    max_assign_time: int = 0
    hash64: int | None = None
    verification_count: int = 0
    timing: str | None = None


class Stored(NamedTuple):
    """The result for one task of a batch: its id; for a duplicate, the id of the task with the same hash."""

    id: int | None
    duplicate: bool


class LeasedTask(NamedTuple):
    """A task as its worker gets it. `assign_time` is in Unix seconds; `lease` is the opaque id of the lease."""

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
    """The leased tasks, in the order of leasing, or the reason why there are none.

    `reason` is empty, leased (by other workers), delayed (tasks wait for their time), verified_all, project_paused,
    no_access or too_many_leases; after an exchange also worker_paused or rate_limited. With rate_limited, `delay` is
    the number of seconds to wait. `waited`: it waited for a task for as long as it was asked to. `filled`: there are
    more tasks, but these have as many bytes as a batch may have.
    """

    tasks: list[LeasedTask]
    reason: str | None = None
    delay: float | None = None
    waited: bool = False
    filled: bool = False


class Report(NamedTuple):
    """A worker's report of a task. With `lease`, only that lease is ended, not a later one of the same worker.

    `told` is what else the worker has to say, as the JSON text of an object; see tasks.details.
    """

    task_id: int
    result: Result
    verification: int = 0
    lease: str | None = None
    told: str | None = None


class Released(NamedTuple):
    """The result of a release. `missing` is the number of agreeing verifications that the task still needs.

    `cancelled`: the worker does not hold the lease that it named, since the task was cancelled meanwhile.
    """

    held: bool
    missing: int = 0
    cancelled: bool = False

    @property
    def updated(self) -> bool:
        return self.held and not self.missing


class Heartbeat(NamedTuple):
    """A worker's wish to keep a lease: for `seconds` from now, or as long as its task is leased for."""

    task_id: int
    lease: str
    seconds: float | None = None


class Extended(NamedTuple):
    """The result of a heartbeat: when the lease ends, in Unix seconds, or None if the worker does not hold it.

    `cancelled`: it does not, since the task was cancelled meanwhile.
    """

    expires: float | None
    cancelled: bool = False


class Exchanged(NamedTuple):
    """The results of an exchange: of its reports, of its lease, and of its heartbeats."""

    released: list[Released]
    leased: Leased
    extended: list[Extended]


class DuplicateTask(Conflict):
    """A task with this hash is already in the project."""


class WorkerPaused(Forbidden):
    """This worker is paused; a tracker admin can resume it."""
