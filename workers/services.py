"""Operations on workers and their access."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from projects.models import Project
from tracker import db, names
from tracker.api.errors import BadInput, Forbidden, InvalidField, NotFound
from workers.models import OperatorMark, Worker, WorkerAccess

DEFAULT_ALIAS = "default_alias"
RESERVED_ALIAS = "unassigned"
LONGEST_ALIAS = 255
SECRET_BYTES = 32


class AliasReserved(Forbidden):
    """alias: "unassigned" is reserved; choose another."""


class NothingAsked(NotFound):
    """This worker has not asked for access to this project."""


class Registration(NamedTuple):
    """A worker together with its secret, which is not stored anywhere."""

    worker: Worker
    secret: str


def digest(secret: str) -> bytes:
    """The stored digest of a secret. A plain hash is enough: nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _checked(alias: str) -> str:
    if not alias:
        return DEFAULT_ALIAS
    if not alias.strip():
        raise InvalidField("alias", "must not consist of blanks; leave it out to be called default_alias.")
    if len(alias) > LONGEST_ALIAS:
        raise InvalidField("alias", f"must be at most {LONGEST_ALIAS} characters long, not {len(alias)}.")
    if names.key_of(alias) == RESERVED_ALIAS:
        raise AliasReserved
    problem = names.problem_with(alias, may_have_blank_ends=True)
    if problem is not None:
        raise InvalidField("alias", problem)
    return alias


def create_worker(*, alias: str = "") -> Registration:
    """Register a worker. Raises AliasReserved and InvalidField."""
    secret = _new_secret()
    worker = Worker.objects.create(alias=_checked(alias), secret_digest=digest(secret))
    worker.refresh_from_db(fields=["created"])
    return Registration(worker, secret)


def rename(*, worker: Worker, alias: str) -> None:
    """Give the worker another alias. Raises AliasReserved and InvalidField."""
    if alias == worker.alias:
        # A stored alias stays valid, whatever the rules for new ones are.
        return
    Worker.objects.filter(pk=worker.pk).update(alias=_checked(alias))


def rotate_secret(*, worker: Worker) -> Registration:
    """Give the worker a new secret; the old one stops working at once."""
    secret = _new_secret()
    Worker.objects.filter(pk=worker.pk).update(secret_digest=digest(secret))
    return Registration(worker, secret)


def set_paused(*, worker_id: int, paused: bool) -> None:
    """Pause or resume a worker, from its next call on. Raises BadInput for an unknown worker."""
    if not Worker.objects.filter(pk=worker_id).update(paused=paused):
        raise BadInput(f"worker: there is no worker {worker_id}.")


def grant_access(*, worker: Worker, project: Project, assign: bool, submit: bool) -> WorkerAccess:
    """Let the worker lease (`assign`) or submit as well (`submit`), whether it asked or not, and clear its request.

    Never revokes anything.
    """
    db.affected(GRANT, {"worker": worker.pk, "project": project.pk, "assign": assign, "submit": submit})
    return WorkerAccess.objects.get(worker=worker, project=project)


def accept_request(*, project: Project, worker_id: int) -> None:
    """Grant what the worker asked for. Raises NothingAsked."""
    if not db.affected(ACCEPT, {"worker": worker_id, "project": project.pk}):
        raise NothingAsked


def reject_request(*, project: Project, worker_id: int) -> None:
    """Reject the worker's request and revoke its access. Raises NothingAsked if it has neither."""
    if not WorkerAccess.objects.filter(project=project, worker_id=worker_id).delete()[0]:
        raise NothingAsked


def request_access(*, worker: Worker, project_id: int, assign: bool, submit: bool) -> str | None:
    """Ask the project's managers for access. Returns a message for the worker, or None.

    The response must not reveal whether a hidden project exists: for a hidden project without a grant and for one that
    does not exist it is the same, after the same statements, however often the worker asks. In a public project, ASSIGN
    opens the project's secret. Raises BadInput if there is nothing to ask for.
    """
    if not (assign or submit):
        raise BadInput("assign: one of assign and submit must be true.")
    project = Project.objects.filter(pk=project_id).first()
    access = WorkerAccess.objects.filter(worker=worker, project_id=project_id).first()
    has_assign, has_submit = (access.assign or access.submit, access.submit) if access else (False, False)
    if project is None or (project.hidden and not has_assign):
        _ask(worker, project_id, assign=assign, submit=submit)
        return "If there is such a project, its managers have been asked."
    if has_assign >= assign and has_submit >= submit:
        raise BadInput("This access has already been granted.")
    if access and has_assign | access.wants_assign >= assign and has_submit | access.wants_submit >= submit:
        raise BadInput("This has already been asked for; a manager of the project has to decide.")
    _ask(worker, project_id, assign=assign, submit=submit)
    return None


def _ask(worker: Worker, project_id: int, *, assign: bool, submit: bool) -> None:
    db.affected(ASK, {"worker": worker.pk, "project": project_id, "assign": assign, "submit": submit})


def mark_operator(*, project: Project, workers: Sequence[int], operator: str) -> int:
    """Take these workers for one operator's in the project; with an empty `operator`, for nobody's any more.

    From then on their votes on a task count once, those given before as well. Returns how many workers there were to
    mark or whose mark was removed. Raises BadInput for an unknown worker, and then marks none.
    """
    if not operator:
        return OperatorMark.objects.filter(project=project, worker__in=workers).delete()[0]
    known = set(Worker.objects.filter(pk__in=workers).values_list("pk", flat=True))
    for worker in workers:
        if worker not in known:
            raise BadInput(f"workers: there is no worker {worker}.")
    marks = [OperatorMark(project=project, worker_id=worker, operator=operator) for worker in sorted(known)]
    OperatorMark.objects.bulk_create(
        marks, update_conflicts=True, unique_fields=["project", "worker"], update_fields=["operator"]
    )
    return len(marks)


# Each is a single statement, so that a concurrent request and grant don't undo each other.

ASK = """
INSERT INTO workers_workeraccess AS access (worker_id, project_id, assign, submit, wants_assign, wants_submit, asked)
SELECT %(worker)s, project.id, false, false, %(assign)s, %(submit)s, now()
FROM projects_project AS project
WHERE project.id = %(project)s
ON CONFLICT (project_id, worker_id) DO UPDATE
SET wants_assign = access.wants_assign OR (excluded.wants_assign AND NOT (access.assign OR access.submit)),
    wants_submit = access.wants_submit OR (excluded.wants_submit AND NOT access.submit),
    asked = now()
"""

GRANT = """
INSERT INTO workers_workeraccess AS access (worker_id, project_id, assign, submit, wants_assign, wants_submit)
VALUES (%(worker)s, %(project)s, %(assign)s, %(submit)s, false, false)
ON CONFLICT (project_id, worker_id) DO UPDATE
SET assign = access.assign OR excluded.assign,
    submit = access.submit OR excluded.submit,
    wants_assign = false,
    wants_submit = false
"""

ACCEPT = """
UPDATE workers_workeraccess
SET assign = assign OR wants_assign, submit = submit OR wants_submit, wants_assign = false, wants_submit = false
WHERE project_id = %(project)s AND worker_id = %(worker)s AND (wants_assign OR wants_submit)
"""
