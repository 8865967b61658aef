"""What a worker can do, over HTTP. Each verb writes into the ledger what was sent and what is known of its effect.

A request whose answer was lost is sent again, as a careful client would, until there is an answer. Half of them have an
Idempotency-Key: then all that were sent count as one.
"""

import hashlib
from dataclasses import replace
from typing import Any, NamedTuple

from chaos import ledger
from chaos.client import LOST, NOT_SENT, Answer
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
    delay: float = 0.0


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
    path, body = ("/task/bulk_submit", bodies) if bulk else ("/task/submit", bodies[0])
    # Without a hash or a key, a repeat may store the task a second time; half of the clients risk it.
    is_careful = not all(task.is_unique for task in tasks) and member.chance.random() < 0.5
    calls = Calls(member, "POST", path, body)
    while True:
        answer = await calls.once()
        is_last = calls.is_over or (is_careful and calls.key is None)
        if calls.counts or is_last:
            single = [{"ok": answer.status == 200, "id": answer.content.get("task", {}).get("id")}]
            _note_submits(member, place, tasks, answer, answer.content.get("results", []) if bulk else single)
        if is_last:
            return answer
        await member.rest(answer)


async def lease(member: Member, place: Place | None, *, count: int = 0, wait: int = 0) -> list[Held]:
    """Lease one task, or up to `count`, of a project or of any. Returns what was leased."""
    query = "&".join(f"{name}={value}" for name, value in (("count", count), ("wait", wait)) if value)
    path = "/task/get" if place is None else f"/task/get/{place.id}"
    calls = Calls(member, "GET", f"{path}?{query}" if query else path, patience=wait)
    answer = await calls.once()
    # Without a key, what it has got is lost with the answer.
    while calls.key is not None and not calls.is_over:
        await member.rest(answer)
        answer = await calls.once()
    tasks = answer.content.get("tasks") or [answer.content[name] for name in ("task",) if name in answer.content]
    if not tasks:
        await member.rest(answer)
    return _note_leases(member, answer, tasks)


async def release(member: Member, reports: list[Report], *, bulk: bool = True) -> Answer:
    """Report tasks, in one call if it is `bulk`, which otherwise must be a single one."""
    bodies = [report.body for report in reports]
    path, body = ("/task/bulk_release", bodies) if bulk else ("/task/release", bodies[0])
    calls = Calls(member, "POST", path, body)
    while True:
        answer = await calls.once()
        if calls.counts or calls.is_over:
            single = [{**answer.content, "message": answer.body.get("message", "")}]
            note_releases(member, reports, answer, answer.content.get("results", []) if bulk else single)
        if calls.is_over:
            return answer
        await member.rest(answer)


async def exchange(member: Member, place: Place, reports: list[Report], *, count: int) -> tuple[Answer, list[Held]]:
    """Report tasks and lease the next ones."""
    body = {"project": place.id, "count": count, "releases": [report.body for report in reports]}
    calls = Calls(member, "POST", "/task/exchange", body)
    while True:
        answer = await calls.once()
        if calls.counts or calls.is_over:
            note_releases(member, reports, answer, answer.content.get("results", []))
        if calls.is_over:
            return answer, _note_leases(member, answer, answer.content.get("tasks", []))
        await member.rest(answer)


async def heartbeat(member: Member, held: list[Held]) -> list[Held]:
    """Extend leases. Returns those that the worker still has, or may have."""
    beats = [{"task_id": one.task, "lease": one.lease} for one in held]
    answer = await member.client.call("POST", "/task/heartbeat", beats)
    if answer.status != 200:
        await member.rest(answer)
        return held
    states = [one["state"] for one in answer.content["heartbeats"]]
    for one, state in zip(held, states, strict=True):
        ends = answer.sent + one.place.lease_seconds if state == "extended" else None
        member.ledger.add(ledger.Beat(one.task, one.lease, member.worker, answer.sent, answer.answered, ends))
        member.tally["extended"] += ends is not None
    return [one for one, state in zip(held, states, strict=True) if state == "extended"]


async def cancel(member: Member, place: Place, tasks: list[int]) -> None:
    """Cancel tasks of a project, and again while there is no answer."""
    calls = Calls(member, "POST", "/task/cancel", {"ids": tasks}, keyed=False)
    while True:
        answer = await calls.once()
        results = answer.content.get("results", [])
        for position, task in enumerate(tasks):
            if answer.status == 200:
                outcome = ledger.DONE if results[position]["state"] == "cancelled" else ledger.NOT_THERE
            else:
                outcome = ledger.REFUSED if answer.changed_nothing else ledger.UNKNOWN
            member.ledger.add(ledger.Cancel(task, place.id, answer.sent, answer.answered, outcome))
            member.tally["cancelled"] += outcome == ledger.DONE
        if calls.is_over:
            return
        await member.rest(answer)


class Calls:
    """A request that is sent until there is an answer; with a key, all that were sent are one request."""

    def __init__(
        self, member: Member, method: str, path: str, body: Any = None, *, patience: float = 0.0, keyed: bool = True
    ) -> None:
        self._member, self._request, self._patience = member, (method, path, body), patience
        self.key = member.key() if keyed else None
        self._tries = 0
        self._first: float | None = None
        self.is_over = False

    @property
    def counts(self) -> bool:
        """Whether each answer counts by itself."""
        return self.key is None

    async def once(self) -> Answer:
        """Send it. With a key, the answer is of all that were sent: it may have had its effect with the first one."""
        answer = await self._member.client.call(*self._request, patience=self._patience, key=self.key)
        self._tries += 1
        self.is_over = answer.is_good or self._tries == MOST_TRIES
        if self.key is not None:
            self._first = self._first or answer.sent
            if self._tries > 1:
                self._member.tally["repeated"] += answer.is_good
                # If the last one wasn't even sent, nobody knows what became of those before.
                status = LOST if answer.status == NOT_SENT else answer.status
                answer = replace(answer, sent=self._first, status=status)
        return answer


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
    body |= {"unique_string": task.recipe} if task.is_unique else {}
    return body | ({"delay": task.delay} if task.delay else {})


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
            ledger.Submit(
                task.recipe, place.id, task.is_unique, answer.sent, answer.answered, outcome, stored, task.delay
            )
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
