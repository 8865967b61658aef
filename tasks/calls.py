"""The calls that workers make all day: lease, heartbeat, release, exchange, submit."""

import math
from typing import Any

from tasks import queue
from tasks.heartbeats import CANCELLED, heartbeats_content, parse_heartbeats
from tasks.polling import idle_polls
from tasks.repeating import repeatable
from tasks.reports import parse_bulk_release, parse_release
from tasks.serializers import (
    LeaseQuery,
    parse_bulk_submit,
    parse_exchange,
    parse_submit,
    release_message,
    released_content,
    tasks_content,
)
from tracker.api.envelope import Reply
from tracker.steps import Steps
from workers.access import require_submit_anywhere
from workers.calls import Call
from workers.identity import identified

# Existing clients compare this text exactly; after any other text they would retry without a pause.
NOTHING = "No task available"


@repeatable
def submit(call: Call) -> Steps[Reply]:
    """POST /task/submit."""
    project_id, task = parse_submit(call.json())
    task_id = yield from queue.submit.steps(worker=call.caller, project_id=project_id, task=task)
    return Reply({"task": {"id": task_id}})


@repeatable
def bulk_submit(call: Call) -> Steps[Reply]:
    """POST /task/bulk_submit."""
    if call.is_large:
        yield from require_submit_anywhere.steps(call.caller)
    project_id, tasks = parse_bulk_submit(call.json())
    stored = yield from queue.submit_many.steps(worker=call.caller, project_id=project_id, tasks=tasks)
    results = [
        {"ok": False, "id": one.id, "message": queue.DuplicateTask.__doc__}
        if one.duplicate
        else {"ok": True, "id": one.id}
        for one in stored
    ]
    duplicates = sum(one.duplicate for one in stored)
    return Reply({"created": len(stored) - duplicates, "duplicates": duplicates, "results": results})


@repeatable
def get_task(call: Call, *, project_id: int) -> Steps[Reply]:
    """GET /task/get/:project."""
    count, wait = _asked(call)
    leased = yield from queue.lease_many.steps(worker=call.caller, project_id=project_id, count=count or 1, wait=wait)
    return lease_reply(call, leased, count)


@repeatable
def get_any_task(call: Call) -> Steps[Reply]:
    """GET /task/get."""
    worker = yield from identified.steps(call.caller)
    count, wait = _asked(call)
    leased = yield from queue.lease_anywhere.steps(
        worker=worker, count=count or 1, wait=wait, may_be_repeated=call.idempotency_key is not None
    )
    return lease_reply(call, leased, count)


def _asked(call: Call) -> tuple[int | None, int]:
    """The `count` and the `wait` of a lease."""
    query = call.query(LeaseQuery)
    return query["count"], query["wait"]


@repeatable
def release(call: Call) -> Steps[Reply]:
    """POST /task/release."""
    report = parse_release(call.json())
    released = yield from queue.release.steps(worker=call.caller, **report._asdict())
    content: dict[str, Any] = {"updated": released.updated}
    if released.cancelled:
        content["reason"] = CANCELLED
    return Reply(content, message=release_message(released))


@repeatable
def bulk_release(call: Call) -> Steps[Reply]:
    """POST /task/bulk_release."""
    reports = parse_bulk_release(call.json())
    released = yield from queue.release_many.steps(worker=call.caller, reports=reports)
    return Reply(released_content(reports, released))


def heartbeat(call: Call) -> Steps[Reply]:
    """POST /task/heartbeat."""
    heartbeats = parse_heartbeats(call.json())
    extended = yield from queue.heartbeat.steps(worker=call.caller, heartbeats=heartbeats)
    return Reply({"heartbeats": heartbeats_content(heartbeats, extended)})


@repeatable
def exchange(call: Call) -> Steps[Reply]:
    """POST /task/exchange."""
    asked = parse_exchange(call.json())
    heartbeats = asked.pop("heartbeats")
    done = yield from queue.exchange.steps(worker=call.caller, heartbeats=heartbeats or (), **asked)
    released, leased, extended = done
    content = released_content(asked["reports"], released) | {"tasks": tasks_content(leased)}
    if heartbeats is not None:
        content["heartbeats"] = heartbeats_content(heartbeats, extended)
    if leased.tasks:
        return Reply(content)
    content["reason"] = leased.reason
    if leased.delay is not None:
        content["rate_limit_delay"] = leased.delay
    # What was reported counts, so this is a success.
    return Reply(content, message=NOTHING, headers=retry_after(call, leased))


def lease_reply(call: Call, leased: queue.Leased, count: int | None) -> Reply:
    """The response to a lease: one task, or a list of tasks if a `count` was given."""
    if not leased.tasks:
        return Reply(
            {"reason": leased.reason},
            ok=False,
            message=NOTHING,
            headers=retry_after(call, leased),
        )
    tasks = tasks_content(leased)
    return Reply({"task": tasks[0]} if count is None else {"tasks": tasks})


def retry_after(call: Call, leased: queue.Leased) -> dict[str, str]:
    """The header that says when to ask again for a task. Who has waited for one may at once."""
    if leased.delay is not None:
        seconds = math.ceil(leased.delay)
    elif leased.waited:
        seconds = 0
    else:
        seconds = idle_polls.seconds(call.caller.pk)
    return {"Retry-After": str(seconds)}
