"""Which worker may do what in which project: the contract's permission table, in one place.

| granted  | public               | private              | hidden         |
|----------|----------------------|----------------------|----------------|
| nothing  | assign, read         | read                 | –              |
| ASSIGN   | assign, read         | assign, read         | assign         |
| SUBMIT   | assign, submit, read | assign, submit, read | assign, submit |

SUBMIT carries ASSIGN with it.
"""

from typing import NamedTuple

from projects.lookup import NoSuchProject
from projects.models import Project
from tracker import db
from tracker.api.errors import Forbidden
from workers.identity import Caller
from workers.models import Worker, WorkerAccess


class MayNotSubmit(Forbidden):
    """This worker may not submit to this project; ask for SUBMIT with /project/request_access."""

    def __init__(self, project_id: int) -> None:
        super().__init__(
            f"This worker may not submit to project {project_id}; ask for SUBMIT with /project/request_access."
        )


class Standing(NamedTuple):
    """A project as one worker sees it."""

    project: Project
    assign_granted: bool
    submit_granted: bool

    @property
    def may_submit(self) -> bool:
        return self.submit_granted

    @property
    def may_assign(self) -> bool:
        return self.project.public or self.has_assign

    @property
    def has_assign(self) -> bool:
        """Whether it holds ASSIGN itself, which opens the project's secret, rather than leasing as everybody may."""
        return self.assign_granted or self.submit_granted

    @property
    def knows_project(self) -> bool:
        return not self.project.hidden or self.has_assign


def standing(*, worker: Worker, project_id: int) -> Standing:
    """The project and what the worker may do there. Raises NoSuchProject, also for one hidden from this worker."""
    row = db.one(STANDING, {"worker": worker.pk, "project": project_id})
    if row is not None:
        found = Standing(Project.from_db("default", _COLUMNS, row[:-2]), row[-2], row[-1])
        if found.knows_project:
            return found
    raise NoSuchProject(f"There is no project {project_id}.")


def require_submit_anywhere(worker: Caller) -> None:
    """Raise Forbidden if there is no project that the worker may submit to."""
    if not WorkerAccess.objects.filter(worker_id=worker.pk, submit=True).exists():
        raise Forbidden("This worker may not submit to any project; ask for SUBMIT with /project/request_access.")


def standing_to_read_secret(*, worker: Worker, project_id: int) -> Standing:
    """The same, for a worker that wants the project's secret. Raises Forbidden if it holds no ASSIGN."""
    found = standing(worker=worker, project_id=project_id)
    if not found.has_assign:
        raise Forbidden(f"This worker holds no ASSIGN on project {project_id}; ask for it.")
    return found


# By the project's primary key and the unique index over (project, worker).
STANDING = """
SELECT p.id, p.name, p.priority, p.clone_url, p.git_repo, p.version, p.motd, p.public, p.hidden, p.paused, p.chain_id,
       p.assign_rate, p.submit_rate, p.lease_seconds, p.retention_days,
       coalesce(a.assign, false), coalesce(a.submit, false)
FROM projects_project p
LEFT JOIN workers_workeraccess a ON a.project_id = p.id AND a.worker_id = %(worker)s
WHERE p.id = %(project)s
"""

_COLUMNS = (
    *("id", "name", "priority", "clone_url", "git_repo", "version", "motd", "public", "hidden", "paused", "chain_id"),
    *("assign_rate", "submit_rate", "lease_seconds", "retention_days"),
)
