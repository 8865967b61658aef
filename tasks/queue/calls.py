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


def columns(items: Sequence[NewTask] | Sequence[Report], kind: type[NewTask] | type[Report]) -> dict[str, str | None]:
    """New tasks, or reports, as one array per field.

    The last field, which few have, is a JSON array, or None if none has it.
    """
    *names, rare = kind._fields
    texts = [item[-1] for item in items]
    told = f"[{','.join(text or 'null' for text in texts)}]" if any(text is not None for text in texts) else None
    return {name: db.array([item[place] for item in items]) for place, name in enumerate(names)} | {rare: told}
