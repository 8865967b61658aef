"""Helpers of the queue's calls: turn their arguments into parameters of the functions, and outcomes into errors."""

from collections.abc import Sequence
from typing import Any

from projects import ratelimit
from projects.lookup import NoSuchProject
from projects.models import RateBucket
from tasks.queue.types import NewTask, Report, WorkerPaused
from tracker import db
from workers.access import MayNotSubmit
from workers.identity import Caller, UnknownWorker


def refuse(outcome: str | None, project_id: int, kind: RateBucket.Kind, delay: float | None) -> None:
    """Raise the error for this outcome, if it is one."""
    match outcome:
        case "unknown_worker":
            raise UnknownWorker
        case "no_project":
            raise NoSuchProject(f"There is no project {project_id}.")
        case "may_not_submit":
            raise MayNotSubmit(project_id)
        case "worker_paused":
            raise WorkerPaused
        case "rate_limited":
            raise ratelimit.refusal(project_id, kind, delay or 0.0)


def identity(worker: Caller) -> dict[str, Any]:
    return {"worker": worker.pk, "digest": worker.secret_digest}


def columns(kind: type[NewTask] | type[Report], rows: Sequence[NewTask] | Sequence[Report]) -> dict[str, str]:
    """The rows as one array per field."""
    return {field: db.array([row[place] for row in rows]) for place, field in enumerate(kind._fields)}
