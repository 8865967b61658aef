"""Questions about tasks. They only read.

The small ones are shown here; the larger ones are modules of their own: `overview` (how projects stand), `activity`
(what workers do), `search` (open tasks by any condition) and `closed` (closed tasks).
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
