"""What workers may do in projects.

| granted  | public               | private              | hidden         |
|----------|----------------------|----------------------|----------------|
| nothing  | assign, read         | read                 | –              |
| ASSIGN   | assign, read         | assign, read         | assign         |
| SUBMIT   | assign, submit, read | assign, submit, read | assign, submit |

SUBMIT includes ASSIGN. For leases and submits, tasks.queue.functions check access; the other checks are here.
"""

from django.db.models import Q

from projects.lookup import NoSuchProject
from projects.models import NO_SECRET, Project
from tracker.api.errors import Forbidden
from tracker.steps import Query, Steps, stepwise
from workers.identity import Caller
from workers.models import Worker, WorkerAccess


class MayNotSubmit(Forbidden):
    """This worker may not submit to this project; ask for SUBMIT with /project/request_access."""

    def __init__(self, project_id: int) -> None:
        super().__init__(
            f"This worker may not submit to project {project_id}; ask for SUBMIT with /project/request_access."
        )


@stepwise
def require_submit_anywhere(worker: Caller) -> Steps[None]:
    """Raise Forbidden if there is no project that the worker may submit to."""
    if not (yield Query(MAY_SUBMIT_ANYWHERE, {"worker": worker.pk})):
        raise Forbidden("This worker may not submit to any project; ask for SUBMIT with /project/request_access.")


def require_submit(*, worker: Worker, project_id: int) -> Project:
    """The project, if the worker may submit to it.

    Raises NoSuchProject, also if the project is hidden from this worker, and MayNotSubmit.
    """
    project = Project.objects.filter(pk=project_id).first()
    access = WorkerAccess.objects.filter(worker=worker, project_id=project_id).first()
    if project is not None and access is not None and access.submit:
        return project
    if project is None or (project.hidden and not (access is not None and access.assign)):
        raise NoSuchProject(f"There is no project {project_id}.")
    raise MayNotSubmit(project_id)


def project_with_secret(*, worker: Worker, project_id: int) -> Project:
    """The project, for a worker that wants to read its secret.

    Raises NoSuchProject, also if the project is hidden from this worker, and Forbidden if the worker was not granted
    ASSIGN: that the project is public is enough only as long as nobody has set a secret. Existing clients ask for it
    before they lease, and end when they are refused.
    """
    project = Project.objects.filter(pk=project_id).first()
    granted = WorkerAccess.objects.filter(
        Q(assign=True) | Q(submit=True), worker=worker, project_id=project_id
    ).exists()
    if project is None or (project.hidden and not granted):
        raise NoSuchProject(f"There is no project {project_id}.")
    if not granted and not (project.public and project.secret == NO_SECRET):
        raise Forbidden(
            f"This worker was not granted ASSIGN on project {project_id}; ask the project's managers for it."
        )
    return project


MAY_SUBMIT_ANYWHERE = "SELECT FROM workers_workeraccess WHERE worker_id = %(worker)s AND submit LIMIT 1"
