"""Read-only queries about tasks.

The short ones are exported here. The larger ones have their own modules, among them `overview` (numbers of tasks per
project), `rates` (how many leases end how per time), `activity` (of workers), `search` (open tasks by any criteria),
`closed` (closed tasks) and `failures` (why tasks fail).
"""

from tasks.queries.lookups import (
    Failure,
    ProjectStatus,
    WorkerStats,
    assignees,
    holders,
    project_statuses,
    recent_failures,
    worker_stats,
)

__all__ = [
    "Failure",
    "ProjectStatus",
    "WorkerStats",
    "assignees",
    "holders",
    "project_statuses",
    "recent_failures",
    "worker_stats",
]
