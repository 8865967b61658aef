"""What a worker can do, over HTTP. Each verb writes into the ledger what was sent and what is known of its effect.

A request whose answer was lost is sent again, as a careful client would, until there is an answer.
"""

import hashlib
from typing import Any, NamedTuple

from chaos import ledger
from chaos.client import Answer
from chaos.member import Member
from chaos.scene import Place

# How often a request is sent at most.
MOST_TRIES = 12


class NewTask(NamedTuple):
    """A task to submit. Recipes are never used twice, so a task is found by its recipe."""

    recipe: str
    is_unique: bool
    max_retries: int = 3
    priority: int = 0


class Held(NamedTuple):
    """A task that this worker has leased."""

    task: int
    lease: str
    place: Place
    recipe: str


class Report(NamedTuple):
    """What the worker says about a task."""

    held: Held
    result: int
    verification: int

    @property
    def body(self) -> dict[str, Any]:
        return {
            "task_id": self.held.task,
            "lease": self.held.lease,
            "result": self.result,
            "verification": self.verification,
        }


def honest(recipe: str) -> int:
    """The verification hash on which all honest workers agree."""
    return int.from_bytes(hashlib.blake2b(recipe.encode(), digest_size=7).digest())


async def submit(member: Member, place: Place, tasks: list[NewTask], *, bulk: bool = True) -> Answer:
    """Submit tasks, in one call if it is `bulk`, which otherwise must be a single one."""
    bodies = [_submit_body(place, task) for task in tasks]
    tries = 0
    while True:
        if bulk:
            answer = await member.client.call("POST", "/task/bulk_submit", bodies)
            results = answer.content.get("results", [])
        else:
            answer = await member.client.call("POST", "/task/submit", bodies[0])
            results = [{"ok": answer.status == 200, "id": answer.content.get("task", {}).get("id")}]
        _note_submits(member, place, tasks, answer, results)
        tries += 1
        # Without a hash, a repeat may store the task a second time; half of the clients risk it.
        careful = not all(task.is_unique for task in tasks) and member.chance.random() < 0.5
        if answer.is_good or tries == MOST_TRIES or careful:
            return answer
        await member.rest(answer)


async def lease(member: Member, place: Place | None, *, count: int = 0, wait: int = 0) -> list[Held]:
    """Lease one task, or up to `count`, of a project or of any. Returns what was leased."""
    query = "&".join(f"{name}={value}" for name, value in (("count", count), ("wait", wait)) if value)
    path = "/task/get" if place is None else f"/task/get/{place.id}"
    answer = await member.client.call("GET", f"{path}?{query}" if query else path, patience=wait)
    tasks = answer.content.get("tasks") or [answer.content[name] for name in ("task",) if name in answer.content]
    if not tasks:
        await member.rest(answer)
    return _note_leases(member, answer, tasks)


async def release(member: Member, reports: list[Report], *, bulk: bool = True) -> Answer:
    """Report tasks, in one call if it is `bulk`, which otherwise must be a single one."""
    bodies = [report.body for report in reports]
    tries = 0
    while True:
        if bulk:
            answer = await member.client.call("POST", "/task/bulk_release", bodies)
            results = answer.content.get("results", [])
        else:
            answer = await member.client.call("POST", "/task/release", bodies[0])
            results = [{**answer.content, "message": answer.body.get("message", "")}]
        note_releases(member, reports, answer, results)
        tries += 1
        if answer.is_good or tries == MOST_TRIES:
            return answer
        await member.rest(answer)


async def exchange(member: Member, place: Place, reports: list[Report], *, count: int) -> tuple[Answer, list[Held]]:
    """Report tasks and lease the next ones."""
    body = {"project": place.id, "count": count, "releases": [report.body for report in reports]}
    tries = 0
    while True:
        answer = await member.client.call("POST", "/task/exchange", body)
        note_releases(member, reports, answer, answer.content.get("results", []))
        tries += 1
        if answer.is_good or tries == MOST_TRIES:
            return answer, _note_leases(member, answer, answer.content.get("tasks", []))
        await member.rest(answer)


def note_releases(member: Member, reports: list[Report], answer: Answer, results: list[dict[str, Any]]) -> None:
    """Write down what became of reports; `results` has one entry for each if there was an answer."""
    for place, report in enumerate(reports):
        if answer.status == 200 and place < len(results):
            outcome = _release_outcome(results[place])
        else:
            outcome = ledger.REFUSED if answer.changed_nothing else ledger.UNKNOWN
        held = report.held
        member.ledger.add(
            ledger.Release(
                held.task,
                held.lease,
                member.worker,
                held.place.id,
                report.result,
                report.verification,
                answer.sent,
                answer.answered,
                outcome,
            )
        )
        if outcome == ledger.UPDATED and report.result == ledger.OK:
            member.tally["closed"] += 1


def _release_outcome(result: dict[str, Any]) -> str:
    if result.get("updated"):
        return ledger.UPDATED
    return ledger.NOTED if str(result.get("message", "")).startswith("Verification noted") else ledger.NOT_HELD


def _submit_body(place: Place, task: NewTask) -> dict[str, Any]:
    body = {
        "project": place.id,
        "recipe": task.recipe,
        "max_retries": task.max_retries,
        "priority": task.priority,
        "verification_count": place.verification_count,
    }
    return body | ({"unique_string": task.recipe} if task.is_unique else {})


def _note_submits(
    member: Member, place: Place, tasks: list[NewTask], answer: Answer, results: list[dict[str, Any]]
) -> None:
    for position, task in enumerate(tasks):
        stored = None
        if answer.status in (200, 409) and position < len(results):
            result = results[position]
            stored = result.get("id")
            outcome = ledger.STORED if result.get("ok") else ledger.DUPLICATE
        else:
            outcome = ledger.REFUSED if answer.changed_nothing else ledger.UNKNOWN
        member.ledger.add(
            ledger.Submit(task.recipe, place.id, task.is_unique, answer.sent, answer.answered, outcome, stored)
        )
        member.tally["submitted"] += outcome == ledger.STORED


def _note_leases(member: Member, answer: Answer, tasks: list[dict[str, Any]]) -> list[Held]:
    found = []
    for task in tasks:
        place = member.scene.place(task["project"]["id"])
        found.append(Held(task["id"], task["lease"], place, task["recipe"]))
        # It has begun after the request was sent, so it can't have expired before that.
        ends = answer.sent + place.lease_seconds
        member.ledger.add(
            ledger.Lease(
                task["id"],
                task["lease"],
                member.worker,
                place.id,
                task["recipe"],
                answer.sent,
                answer.answered,
                ends,
            )
        )
    member.tally["leased"] += len(found)
    return found
