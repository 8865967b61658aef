"""The API of what became of tasks."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rest_framework.fields import BooleanField, CharField, ChoiceField, FloatField, IntegerField, JSONField, ListField
from rest_framework.request import Request

from accounts.models import User
from projects.lookup import NoSuchProject
from projects.models import Project
from projects.roles import Role
from tasks.models import Outcome, Reason
from tasks.queries import status
from tasks.queries.status import Attempt, Reader, State, Status
from tasks.serializers import hash_of
from tracker.api.description import Content, describe
from tracker.api.envelope import Envelope
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import Hash64, Id, Text, WireField, WrongValue, shown
from tracker.api.serializers import RequestSerializer
from workers.authentication import ReaderView
from workers.models import Worker, WorkerAccess

MOST_TASKS = 1_000


class Each(WireField, ListField):
    """1 to MOST_TASKS values, each of which is valid for a field."""

    def __init__(self, child: WireField, **options: Any) -> None:
        self.one = child
        super().__init__(child=child, min_length=1, max_length=MOST_TASKS, required=False, **options)

    def parse(self, value: Any) -> list[Any]:
        if type(value) is not list or not 0 < len(value) <= MOST_TASKS:
            found = f"{len(value)} of them" if type(value) is list else shown(value)
            raise WrongValue(f"must be an array of 1 to {MOST_TASKS}, not {found}.")
        parsed: list[Any] = []
        try:
            for one in value:
                parsed.append(self.one.parse(one))
        except WrongValue as error:
            raise WrongValue(f"item {len(parsed)} {error}") from error
        return parsed


class StatusRequest(RequestSerializer):
    """The tasks: `ids`, or `project` with `hashes` or `unique_strings`."""

    strict = True

    ids = Each(Id(), help_text="Their ids.")
    project = Id(required=False, help_text="The project of `hashes` or `unique_strings`.")
    hashes = Each(Hash64(), help_text="Their hashes, signed or unsigned.")
    unique_strings = Each(Text(shortest=1), help_text="What they were submitted with as `unique_string`.")

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        given = [name for name in ("ids", "hashes", "unique_strings") if values[name] is not None]
        if len(given) != 1:
            raise BadInput("Send one of ids, hashes and unique_strings.")
        if given == ["ids"] and values["project"] is not None:
            raise InvalidField("project", "goes with hashes or unique_strings; ids are unique in all projects.")
        if given != ["ids"] and values["project"] is None:
            raise InvalidField("project", f"is missing: {given[0]} are unique in a project only.")


class AttemptContent(Content):
    worker = Id()
    lease = Text(allow_null=True, help_text="null: with the outcome `closed`.")
    began = FloatField(help_text="Unix seconds.")
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
    worker = IntegerField(required=False, allow_null=True, help_text="Who holds it or closed it.")
    submitter = IntegerField(required=False, allow_null=True, help_text="Who submitted it; null: a manager.")
    assign_time = FloatField(required=False, allow_null=True)
    lease_expires = FloatField(required=False, allow_null=True)
    closed = FloatField(required=False, allow_null=True)
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
    "that does not exist, was deleted, is no longer kept, or that you may not know of is `unknown`."
)


class StatusView(ReaderView):
    """GET /task/status/:id."""

    @describe("What became of a task", details=WHOSE, content={"task": StatusContent}, errors={401: None})
    def get(self, request: Request, task_id: int) -> Envelope:
        reader = reader_of(self.reader(request))
        found = status.by_ids([task_id], reader)
        (task,) = contents(found.values(), reader) or [{"id": task_id, "state": State.UNKNOWN}]
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
            asked = values["ids"]
            by_id = status.by_ids(asked, reader)
            told = {task["id"]: task for task in contents(by_id.values(), reader)}
            return Envelope({"tasks": [told.get(one, {"id": one, "state": State.UNKNOWN}) for one in asked]})
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


def contents(tasks: Iterable[Status], reader: Reader) -> list[dict[str, Any]]:
    """The objects of the API."""
    tasks = list(tasks)
    attempts = status.attempts(tasks, reader)
    return [_content(task, attempts.get(task.id, []), reader) for task in tasks]


def _content(task: Status, attempts: Sequence[Attempt], reader: Reader) -> dict[str, Any]:
    content = task._asdict()
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
    content["attempts"] = [
        one._asdict()
        | {
            "outcome": one.outcome.name.lower(),
            "reason": None if one.reason is None else one.reason.name.lower(),
            "output": _value(one.output),
        }
        for one in attempts
    ]
    if content.pop("is_cut"):
        content["output_left_out"] = True
    content["output"] = _value(task.output)
    return content


def _value(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)
