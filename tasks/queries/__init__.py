"""Read-only queries about tasks.

The short ones are exported here. The larger ones have their own modules: `overview` (numbers of tasks per project),
`activity` (of workers), `search` (open tasks by any criteria) and `closed` (closed tasks).
"""

from tasks.queries.lookups import (
    ProjectStatus,
    WorkerStats,
    assignees,
    holders,
    project_statuses,
    recent_failures,
    worker_stats,
)

__all__ = [
    "ProjectStatus",
    "WorkerStats",
    "assignees",
    "holders",
    "project_statuses",
    "recent_failures",
    "worker_stats",
]
