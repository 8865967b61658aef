"""The admin's start page: what needs this manager's attention."""

from typing import Any, NamedTuple

from django.http import HttpRequest

from logs import queries as logs
from logs.models import Level, LogEntry
from projects.models import Project
from projects.roles import Role
from tracker import db
from webui.access_requests import waiting_requests, waiting_words
from webui.admin.cells import rows_by_id
from webui.scope import scope_of
from workers.models import WorkerAccess
from workers.queries import PENDING

SHOWN = 8
SHOWN_TEXT = 300
# Failed tasks of a project are counted up to this number.
COUNTED = 1_000


class Failing(NamedTuple):
    """A project with failed tasks; `many` is True if counting stopped at COUNTED."""

    id: int
    name: str
    failed: int
    many: bool


def overview_for(request: HttpRequest) -> dict[str, Any]:
    """The context of the page: pending requests, projects with failures, paused projects, and the newest errors."""
    scope = scope_of(request)
    requests = WorkerAccess.objects.filter(PENDING).select_related("worker", "project").order_by("asked", "pk")
    found = logs.find(logs.LogCriteria(level=Level.ERROR), after=None, limit=SHOWN)
    errors: Any = rows_by_id(LogEntry.objects.select_related("worker"), found.ids)
    projects = scope.project_ids()
    failing = db.rows(FAILING, {"projects": projects, "counted": COUNTED, "limit": SHOWN})
    return {
        "decides": scope.has_anywhere(Role.MANAGE_ACCESS),
        "waiting": waiting_words(waiting_requests(scope)),
        "requests": scope.within(requests, Role.MANAGE_ACCESS)[:SHOWN],
        "failing": [Failing(*row) for row in failing],
        "paused": scope.within(Project.objects.filter(paused=True).order_by("name"), project="pk")[:SHOWN],
        "errors": [(entry, " ".join(entry.message[:SHOWN_TEXT].split())) for entry in errors],
        "has_projects": bool(projects),
    }


# Uses the index task_failed.
FAILING = """
SELECT project.id, project.name, failed.count, failed.count = %(counted)s
FROM projects_project AS project
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM tasks_task WHERE project_id = project.id AND status = 2 LIMIT %(counted)s
    ) AS few
) AS failed
WHERE project.id = ANY (%(projects)s) AND failed.count > 0
ORDER BY failed.count DESC, project.name
LIMIT %(limit)s
"""
