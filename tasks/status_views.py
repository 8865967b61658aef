"""The API of what became of tasks."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import orjson
from rest_framework.fields import BooleanField, CharField, ChoiceField, FloatField, IntegerField, JSONField, ListField
from rest_framework.request import Request

from accounts.models import User
from projects.lookup import NoSuchProject
from projects.models import Project
from projects.roles import Role
from tasks.models import Outcome, Reason
from tasks.queries import status
from tasks.queries.status import Attempt, Cancelled, Reader, State, Status
from tasks.serializers import hash_of
from tracker.api.description import Content, describe
from tracker.api.envelope import Envelope
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import Hash64, Id, Text
from tracker.api.items import Each
from tracker.api.serializers import RequestSerializer
from workers.authentication import ReaderView
from workers.models import Worker, WorkerAccess

MOST_TASKS = 1_000


class StatusRequest(RequestSerializer):
    """The tasks: `ids`, or `project` with `hashes` or `unique_strings`."""

    strict = True
    # How the tasks may be named.
    ways: ClassVar[tuple[str, ...]] = ("ids", "hashes", "unique_strings")

    ids = Each(Id(), most=MOST_TASKS, required=False, help_text="Their ids.")
    project = Id(required=False, help_text="The project of `hashes` or `unique_strings`.")
    hashes = Each(Hash64(), most=MOST_TASKS, required=False, help_text="Their hashes, signed or unsigned.")
    unique_strings = Each(
        Text(shortest=1),
        most=MOST_TASKS,
        required=False,
        help_text="What they were submitted with as `unique_string`.",
    )

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        given = [name for name in cls.ways if values[name] is not None]
        *others, last = cls.ways
        if len(given) != 1:
            raise BadInput(f"Send one of {', '.join(others)} and {last}.")
        if given == ["ids"] and values["project"] is not None:
            others = [name for name in others if name != "ids"]
            goes_with = f"goes with {', '.join(others)} or {last}"
            raise InvalidField("project", f"{goes_with}; ids are unique in all projects.")
        if given != ["ids"] and values["project"] is None:
            raise InvalidField("project", f"is missing: {given[0]} are unique in a project only.")


class AttemptContent(Content):
    worker = Id(allow_null=True, help_text="null: nobody held the task.")
    lease = Text(allow_null=True, help_text="null: nobody held the task, or its outcome is `closed`.")
    began = FloatField(allow_null=True, help_text="Unix seconds.")
    ended = FloatField()
    outcome = ChoiceField(
        [one.name.lower() for one in Outcome if one not in (Outcome.AGREED, Outcome.OUTVOTED)],
        help_text="`closed`: it had closed the task, which a manager has put back since.",
    )
    reason = ChoiceField([one.name.lower() for one in Reason], allow_null=True)
    message = CharField(allow_null=True)
    output = JSONField()
    seconds = FloatField(allow_null=True)
    version = CharField()


class VotesContent(Content):
    count = IntegerField(help_text="How many workers have verified it, without the one that closed it.")
    needed = IntegerField(allow_null=True, help_text="How many have to agree; null: it is closed.")
    workers = ListField(child=IntegerField(), help_text="Those workers, in order.")
    verifications = ListField(
        child=IntegerField(), required=False, help_text="Their hashes; of an open task only for managers."
    )


class StatusContent(Content):
    id = Id(required=False, help_text="Absent if it is unknown.")
    hash64 = IntegerField(allow_null=True, required=False)
    state = ChoiceField([one.value for one in State], help_text="`awaiting`: ready, and has votes that do not suffice.")
    project = Id(required=False)
    priority = IntegerField(required=False)
    retries = IntegerField(required=False)
    expiries = IntegerField(required=False, allow_null=True, help_text="How many of its leases have expired.")
    created = FloatField(required=False, help_text="Unix seconds.")
    run_at = FloatField(required=False, allow_null=True, help_text="Of a delayed task: when it becomes ready.")
    expires_at = FloatField(required=False, allow_null=True, help_text="From then on it is not leased; null: never.")
    worker = IntegerField(required=False, allow_null=True, help_text="Who holds it or closed it.")
    submitter = IntegerField(required=False, allow_null=True, help_text="Who submitted it; null: a manager.")
    assign_time = FloatField(required=False, allow_null=True)
    lease_expires = FloatField(required=False, allow_null=True)
    closed = FloatField(required=False, allow_null=True)
    cancelled = FloatField(required=False, help_text="When it was cancelled.")
    verification = IntegerField(required=False, allow_null=True, help_text="The hash that closed it.")
    votes = VotesContent(required=False)
    attempts = AttemptContent(many=True, required=False, help_text=f"The newest {status.ATTEMPTS}, newest first.")
    message = CharField(required=False, allow_null=True)
    output = JSONField(required=False)
    output_left_out = BooleanField(
        required=False, help_text="Whether the answer had no room for the output; ask for this task alone."
    )
    seconds = FloatField(required=False, allow_null=True)
    version = CharField(required=False, allow_null=True)


WHOSE = (
    "For the worker that submitted the task, workers with SUBMIT in its project, and managers with READ there. A task "
    "that does not exist, was deleted, is no longer kept, or that you may not know of is `unknown`. By its id, one "
    "that was cancelled, or deleted by a manager while leased, is `cancelled` for as long as attempts are kept."
)


class StatusView(ReaderView):
    """GET /task/status/:id."""

    @describe("What became of a task", details=WHOSE, content={"task": StatusContent}, errors={401: None})
    def get(self, request: Request, task_id: int) -> Envelope:
        reader = reader_of(self.reader(request))
        (task,) = told_of([task_id], reader)
        return Envelope({"task": task})


class StatusesView(ReaderView):
    """POST /task/status."""

    @describe(
        "What became of many tasks",
        details=f"{WHOSE} The answer has one entry for each, in the order sent.",
        body=StatusRequest,
        content={"tasks": StatusContent(many=True)},
        errors={401: None, 404: None},
    )
    def post(self, request: Request) -> Envelope:
        viewer = self.reader(request)
        values = self.parsed(StatusRequest)
        reader = reader_of(viewer)
        if values["ids"] is not None:
            return Envelope({"tasks": told_of(values["ids"], reader)})
        check_project(viewer, values["project"])
        hashes = values["hashes"] or [hash_of(text) for text in values["unique_strings"]]
        by_hash = status.by_hashes(values["project"], hashes, reader)
        told = {task["hash64"]: task for task in contents(by_hash.values(), reader)}
        return Envelope({"tasks": [told.get(one, {"hash64": one, "state": State.UNKNOWN}) for one in hashes]})


def reader_of(viewer: Worker | User) -> Reader:
    """What the viewer may be told."""
    if isinstance(viewer, Worker):
        granted = WorkerAccess.objects.filter(worker=viewer, submit=True)
        return Reader(submitter=viewer.pk, projects=list(granted.values_list("project_id", flat=True)))
    readable = Project.objects.with_role(viewer, Role.READ)
    return Reader(projects=list(readable.values_list("pk", flat=True)), sees_votes=True)


def check_project(viewer: Worker | User, project_id: int) -> None:
    """Raise NoSuchProject if there is no such project, or the viewer may not know of it."""
    if isinstance(viewer, Worker):
        granted = WorkerAccess.objects.filter(worker=viewer).exclude(assign=False, submit=False)
        visible = Project.objects.filter(pk=project_id, hidden=False) | Project.objects.filter(
            pk=project_id, pk__in=granted.values("project_id")
        )
    else:
        visible = Project.objects.visible_to(viewer).filter(pk=project_id)
    if not visible.exists():
        raise NoSuchProject(f"There is no project {project_id}.")


def told_of(ids: Sequence[int], reader: Reader) -> list[dict[str, Any]]:
    """What the reader is told of the tasks with these ids."""
    found: dict[int, Status | Cancelled] = {**status.by_ids(ids, reader)}
    found |= status.cancelled([one for one in ids if one not in found], reader)
    told = {task["id"]: task for task in contents(found.values(), reader)}
    return [told.get(one, {"id": one, "state": State.UNKNOWN}) for one in ids]


def contents(tasks: Iterable[Status | Cancelled], reader: Reader) -> list[dict[str, Any]]:
    """The objects of the API."""
    tasks = list(tasks)
    attempts = status.attempts(tasks, reader)
    return [_content(task, attempts.get(task.id, []), reader) for task in tasks]


def _content(task: Status | Cancelled, attempts: Sequence[Attempt], reader: Reader) -> dict[str, Any]:
    content = task._asdict()
    content["attempts"] = [_attempt(one) for one in attempts]
    if isinstance(task, Cancelled):
        return content
    pairs = zip(content.pop("voters"), content.pop("votes"), strict=True)
    votes = [(voter, vote) for voter, vote in pairs if vote is not None]
    needed = content.pop("verification_count")
    content["votes"] = {
        "count": len(votes),
        "needed": None if needed is None else max(needed, 1),
        "workers": [voter for voter, _ in votes],
    }
    if reader.sees_votes or not task.is_open:
        content["votes"]["verifications"] = [vote for _, vote in votes]
    if content.pop("is_cut"):
        content["output_left_out"] = True
    content["output"] = _value(task.output)
    return content


def _attempt(one: Attempt) -> dict[str, Any]:
    return one._asdict() | {
        "outcome": one.outcome.name.lower(),
        "reason": None if one.reason is None else one.reason.name.lower(),
        "output": _value(one.output),
    }


def _value(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)
