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


def columns(tasks: Sequence[NewTask]) -> dict[str, str]:
    """The tasks as one array per field."""
    return {field: db.array([task[place] for task in tasks]) for place, field in enumerate(NewTask._fields)}


def report_columns(reports: Sequence[Report]) -> dict[str, str | None]:
    """The reports as one array per field; `told` is a JSON array, or None if nothing was told at all."""
    names = Report._fields[:-1]
    told = None
    if any(report.told is not None for report in reports):
        told = f"[{','.join(report.told or 'null' for report in reports)}]"
    return {name: db.array([report[place] for report in reports]) for place, name in enumerate(names)} | {"told": told}
