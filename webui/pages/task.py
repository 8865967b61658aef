"""The page of a task: its recipe, its life with each attempt, votes, output, log entries, and what may be done."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from logs import queries as logs
from projects.access import require, roles_of
from projects.lookup import NoSuchProject
from projects.models import Project
from projects.roles import Role
from tasks.fingerprints import reason_of, text_of
from tasks.models import Attempt, ClosedTask, Outcome, Reason, Task
from tasks.queries import status
from tasks.queries.search import Criteria
from tasks.queries.status import Reader, State, Status
from tracker.api.errors import BadInput, NotFound
from webui.links import failure_address, log_address, named_workers
from webui.outcomes import KINDS, OUTCOMES, REASONS, reason_given
from webui.pages.common import require_login
from webui.pages.frame import find_with, project_page
from webui.pages.task_changes import CHANGES, PriorityForm
from webui.pages.votes import votes_of

LOG_ENTRIES = 50


class Event(NamedTuple):
    """A line of a task's life. `worker` is its id; the texts are what the worker told."""

    at: datetime
    label: str | Promise
    mark: str = ""
    worker: int | None = None
    seconds: float | None = None
    reason: str = ""
    message: str = ""
    output: str = ""
    version: str = ""
    until: datetime | None = None


@require_http_methods(["GET", "HEAD", "POST"])
def task(request: HttpRequest, task_id: int) -> HttpResponse:
    """/tasks/7/: a task, open or closed, for managers with READ; POST changes it, with MAINTENANCE."""
    require_login(request)
    project = _project_of(request, task_id)
    reader = Reader(projects=[project.pk], sees_votes=True)
    found = status.by_ids([task_id], reader).get(task_id)
    if found is None:
        return _cancelled(request, project, task_id, reader)
    form = PriorityForm(initial={"priority": found.priority})
    if request.method == "POST":
        require(request.user, project.pk, Role.MAINTENANCE)
        form = PriorityForm(request.POST)
        done = _change(request, found, form)
        if done is not None:
            return done
    content = _content(request, project, found, reader) | {"form": form}
    return project_page(request, project, "tasks/detail.html", "tasks/", content, status=400 if form.errors else 200)


def _project_of(request: HttpRequest, task_id: int) -> Project:
    """The project of a task. Raises Forbidden without READ, and NotFound if the visitor may not even know of it."""
    cancelled = Attempt.objects.filter(task_id=task_id, outcome=Outcome.CANCELLED)
    for rows in (Task.objects.filter(pk=task_id), ClosedTask.objects.filter(pk=task_id), cancelled):
        project_id = rows.order_by().values_list("project_id", flat=True).first()
        if project_id is not None:
            try:
                return find_with(request, project_id, Role.READ)
            except NoSuchProject as error:
                raise _unknown(task_id) from error
    raise _unknown(task_id)


def _cancelled(request: HttpRequest, project: Project, task_id: int, reader: Reader) -> HttpResponse:
    """The page of a task that was cancelled, as long as that is kept. Raises NotFound."""
    found = status.cancelled([task_id], reader).get(task_id)
    if found is None or request.method == "POST":
        raise _unknown(task_id)
    attempts = status.attempts([found], reader).get(task_id, [])
    at = _time(found.cancelled)
    events = [_event(one) for one in reversed(attempts)]
    if not any(one.outcome == Outcome.CANCELLED for one in attempts):
        # Nobody held it.
        events.append(Event(at, OUTCOMES[Outcome.CANCELLED].text))
    named = named_workers(event.worker for event in events)
    content = {
        "task": found,
        "cancelled": at,
        "events": [(event, named.get(event.worker or 0)) for event in events],
        "more_attempts": len(attempts) == status.ATTEMPTS,
        "log_address": log_address(task=task_id),
        "is_cancelled": True,
    }
    return project_page(request, project, "tasks/cancelled.html", "tasks/", content)


def _unknown(task_id: int) -> NotFound:
    return NotFound(_("There is no task %(id)s, it is no longer kept, or you may not see it.") % {"id": task_id})


def _change(request: HttpRequest, found: Status, form: PriorityForm) -> HttpResponse | None:
    """Do what the form asks for; None if the form is not valid."""
    chosen = CHANGES.get(request.POST.get("do", ""))
    if chosen is None or chosen.is_grave:
        # The page of many tasks asks for confirmation.
        raise BadInput("do: must be one of retry, run_now, reclaim and priority.")
    if chosen.has_priority and not form.is_valid():
        return None
    criteria = Criteria([found.project], ids=[found.id], states=(chosen.only,) if chosen.only else ())
    if chosen.run(criteria, form):
        messages.success(request, _("The task was changed."))
    else:
        messages.error(request, _("Nothing was changed: the task is no longer in that state."))
    return HttpResponseRedirect(f"/tasks/{found.id}/")


def _content(request: HttpRequest, project: Project, found: Status, reader: Reader) -> dict[str, Any]:
    row: Task | ClosedTask | None
    row = (ClosedTask if found.state == State.CLOSED else Task).objects.filter(pk=found.id).first()
    attempts = status.attempts([found], reader).get(found.id, [])
    may = Role.MAINTENANCE in roles_of(request.user, project) and found.is_open
    entries = logs.entries(logs.find(logs.LogCriteria(task=found.id), after=None, limit=LOG_ENTRIES))
    events = _events(found, attempts)
    named = named_workers([*(event.worker for event in events), *found.voters, found.submitter])
    return {
        "task": found,
        "recipe": row.recipe if row else "",
        "failure": _failure_of(project, row),
        "reason": _reason_of(found, attempts),
        "run_at": _time(found.run_at) if found.run_at else None,
        "expires_at": _time(found.expires_at) if found.expires_at else None,
        "max_retries": row.max_retries if isinstance(row, Task) else None,
        "lease_seconds": (row.max_assign_time or project.lease_seconds) if isinstance(row, Task) else None,
        "events": [(event, named.get(event.worker or 0)) for event in events],
        "more_attempts": len(attempts) == status.ATTEMPTS,
        "votes": votes_of(project, found, named, may_accept=may),
        "is_disputed": found.state == State.FAILED and _is_disputed(attempts),
        "may_retry": may,
        "needed": max(found.verification_count or 0, 1),
        "output": _pretty(found.output),
        "entries": entries,
        "log_address": log_address(task=found.id),
        "shows_log": settings.LOGS_PUBLIC or request.user.is_authenticated,
        "changes": [
            (name, change)
            for name, change in CHANGES.items()
            if may and (change.only is None or change.only.value == found.state)
        ],
    }


def _failure_of(project: Project, row: Task | ClosedTask | None) -> str:
    """The address of the group of failures that made the task FAILED; empty if it isn't, or from before groups."""
    if not isinstance(row, Task) or row.failure is None:
        return ""
    return failure_address(project.pk, text_of(row.failure))


class Why(NamedTuple):
    """Why a task failed, and the kind of its mark."""

    text: str | Promise
    kind: str


def _reason_of(found: Status, attempts: list[status.Attempt]) -> Why | None:
    """Why a FAILED task is so, as long as that attempt is kept; else None."""
    last = _last_failed(attempts) if found.state == State.FAILED else None
    if last is None:
        return None
    reason = reason_of(last.outcome, last.reason)
    return Why(REASONS[reason], KINDS.get(reason, ""))


def _last_failed(attempts: list[status.Attempt]) -> status.Attempt | None:
    """The newest of these attempts that failed: of a FAILED task, the one that made it so."""
    # The last vote of a disagreement is an attempt that voted, and a task may be given up by a SKIP.
    outcomes, reasons = (Outcome.FAILED, Outcome.EXPIRED), (Reason.BAD_RECIPE, Reason.DISAGREEMENT)
    return next((one for one in attempts if one.outcome in outcomes or one.reason in reasons), None)


def _is_disputed(attempts: list[status.Attempt]) -> bool:
    """Whether the workers' disagreement made the task FAILED."""
    last = _last_failed(attempts)
    return last is not None and last.reason == Reason.DISAGREEMENT


def _events(found: Status, attempts: list[status.Attempt]) -> list[Event]:
    """The task's life, the oldest first."""
    events = [Event(_time(found.created), _("submitted"), worker=found.submitter)]
    events += [_event(one) for one in reversed(attempts)]
    if found.state == State.CLOSED and found.closed and found.assign_time:
        taken = found.closed - found.assign_time if found.seconds is None else found.seconds
        events.append(
            Event(
                _time(found.closed),
                _("closed"),
                "good",
                worker=found.worker,
                seconds=taken,
                message=found.message or "",
                version=found.version or "",
            )
        )
    if found.state == State.LEASED and found.assign_time and found.lease_expires:
        until = _time(found.lease_expires)
        events.append(Event(_time(found.assign_time), _("leased"), worker=found.worker, until=until))
    return events


def _event(one: status.Attempt) -> Event:
    named = OUTCOMES[one.outcome]
    return Event(
        _time(one.ended),
        named.text,
        named.kind,
        worker=one.worker,
        seconds=one.took,
        reason=reason_given(one.reason),
        message=one.message or "",
        output=_pretty(one.output),
        version=one.version,
    )


def _pretty(text: str | None) -> str:
    """JSON text for people: a text as it is, anything else indented."""
    if text is None:
        return ""
    value = json.loads(text)
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
