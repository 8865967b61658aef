"""How tasks look on the wire."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rest_framework.fields import BooleanField, CharField, ChoiceField, FloatField, IntegerField, ListField, UUIDField

from projects.serializers import ProjectContent, project_content
from tasks.queue import BATCH_LIMIT, BULK_LIMIT, Leased, NewTask, Released, Report, Result
from tracker.api.description import Content
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import INT16, INT32, Hash64, Id, LeaseId, Text, WholeNumber, WireField, WrongValue, shown
from tracker.api.serializers import RequestSerializer

Item = TypeVar("Item")


class SubmitRequest(RequestSerializer):
    project = Id()
    recipe = Text(shortest=1, help_text="What to do, in the words that your workers understand.")
    max_retries = WholeNumber(low=0, high=INT32[1], default=0, help_text="The FAIL that reaches it is the last one.")
    priority = WholeNumber(low=INT16[0], high=INT16[1], default=0, help_text="Higher first.")
    max_assign_time = WholeNumber(
        low=0, high=INT32[1], default=0, help_text="Seconds that a lease lasts; 0: as the project says."
    )
    hash64 = Hash64(
        also="hash_u64", default=0, help_text="No two tasks of a project have the same; 0: none. Signed or unsigned."
    )
    unique_string = Text(also="unique_str", default="", help_text="Hashed to 64 bits, instead of `hash64`.")
    verification_count = WholeNumber(
        low=0, high=INT16[1], default=0, help_text="How many different workers have to agree; 0 means 1."
    )

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        unique_string = values.pop("unique_string")
        if unique_string and values["hash64"]:
            raise InvalidField("unique_string", "can't stand beside a hash64; send one of them.")
        values["hash64"] = hash_of(unique_string) if unique_string else values["hash64"] or None


class ReleaseRequest(RequestSerializer):
    task_id = Id()
    result = WholeNumber(low=Result.OK, high=Result.SKIP, help_text="0 OK, 1 FAIL, 2 SKIP.")
    verification = Hash64(default=0, help_text="A hash of the result, which other workers have to agree with.")
    lease = LeaseId(required=False, help_text="Which lease is meant, as /task/get answered it.")


class LeaseQuery(RequestSerializer):
    count = WholeNumber(
        low=1, high=BATCH_LIMIT, required=False, help_text="Lease up to so many, and answer `tasks` instead of `task`."
    )


class Reports(WireField, ListField):
    """Up to BATCH_LIMIT reports; an item at fault is named as in a bulk."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=ReleaseRequest(), max_length=BATCH_LIMIT, **options)

    def parse(self, value: Any) -> list[Report]:
        if type(value) is not list or len(value) > BATCH_LIMIT:
            found = f"{len(value)} of them" if type(value) is list else shown(value)
            raise WrongValue(f"must be an array of at most {BATCH_LIMIT} releases, not {found}.")
        return _each(parse_release, value)


class ExchangeRequest(RequestSerializer):
    project = Id()
    count = WholeNumber(low=1, high=BATCH_LIMIT, help_text="Lease up to so many.")
    releases = Reports(required=False, help_text="What to report before.")


def _items(declaration: str, limit: int) -> dict[str, Any]:
    items = {"$ref": f"#/components/schemas/{declaration}"}
    return {"type": "array", "items": items, "minItems": 1, "maxItems": limit}


def _array_or(key: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [items, {"type": "object", "properties": {key: items}, "required": [key]}]}


# The bulks as schemas, since they may be arrays; see `_checked_items`.
BULK_SUBMIT = _array_or("requests", _items("SubmitRequest", BULK_LIMIT))
BULK_RELEASE = _array_or("releases", _items("ReleaseRequest", BATCH_LIMIT))

# Why there is no task.
REASONS = ["empty", "project_paused", "no_access", "verified_all"]


class TaskContent(Content):
    id = Id()
    priority = IntegerField()
    assignee = Id(help_text="This worker.")
    retries = IntegerField(help_text="How often it has failed.")
    max_retries = IntegerField()
    status = IntegerField(help_text="1: leased.")
    recipe = Text()
    max_assign_time = IntegerField(help_text="Seconds that a lease lasts; 0: as the project says.")
    assign_time = IntegerField(help_text="Unix seconds.")
    verification_count = IntegerField(help_text="How many different workers have to agree.")
    lease = UUIDField(help_text="Names this lease; for /task/release.")
    project = ProjectContent()


class LeasedContent(Content):
    task = TaskContent(required=False, help_text="Without `count`.")
    tasks = TaskContent(many=True, required=False, help_text="With `count`, in the order of leasing.")


class ReportResultContent(Content):
    id = Id(help_text="The task's.")
    updated = BooleanField()
    message = CharField(required=False)


class ReleasedContent(Content):
    updated = IntegerField(help_text="How many were updated.")
    results = ReportResultContent(many=True)


class ExchangedContent(ReleasedContent):
    tasks = TaskContent(many=True)
    reason = ChoiceField([*REASONS, "worker_paused", "rate_limited"], required=False, help_text="Why no tasks.")
    rate_limit_delay = FloatField(required=False, help_text="Seconds until the project gives tasks again.")


class SubmittedContent(Content):
    id = Id()


class BulkResultContent(Content):
    ok = BooleanField()
    id = Id()
    message = CharField(required=False)


class WorkerStatsContent(Content):
    id = Id()
    alias = Text()
    closed_task_count = IntegerField()
    paused = BooleanField()


class AssigneeContent(Content):
    assignee = Text()
    task_count = IntegerField()


def parse_submit(body: Any) -> tuple[int, NewTask]:
    """The project's id and the task of one submit. Raises BadInput."""
    values = SubmitRequest.parse(body)
    return values.pop("project"), NewTask(**values)


def parse_bulk_submit(body: Any) -> tuple[int, list[NewTask]]:
    """The project's id and the tasks of a bulk submit. Raises BadInput, naming the index of the item at fault."""
    submits = _each(parse_submit, _checked_items(body, "requests", "submits", BULK_LIMIT))
    project_id = submits[0][0]
    for index, (other, _) in enumerate(submits):
        if other != project_id:
            raise BadInput(f"Item {index}: project: must be {project_id} as in item 0; a bulk is for one project.")
    return project_id, [task for _, task in submits]


def parse_release(body: Any) -> Report:
    """One report. Raises BadInput."""
    return Report(**ReleaseRequest.parse(body))


def parse_bulk_release(body: Any) -> list[Report]:
    """The reports of a bulk release. Raises BadInput, naming the index of the item at fault."""
    return _each(parse_release, _checked_items(body, "releases", "releases", BATCH_LIMIT))


def parse_exchange(body: Any) -> tuple[int, int, list[Report]]:
    """The project's id, the count and the reports of an exchange. Raises BadInput."""
    values = ExchangeRequest.parse(body)
    return values["project"], values["count"], values["releases"] or []


def _checked_items(body: Any, key: str, name: str, limit: int) -> list[Any]:
    """The items of a bulk, which is an array or has one under the key."""
    items = body.get(key) if type(body) is dict else body
    if type(items) is not list:
        raise BadInput(f'The body must be an array of {name} or {{"{key}": […]}}, not {shown(items)}.')
    if not 0 < len(items) <= limit:
        raise InvalidField(key, f"must hold 1 to {limit} items, not {len(items)}.")
    return items


def _each(parse: Callable[[Any], Item], items: list[Any]) -> list[Item]:
    """All items, parsed; an error names the index of the item at fault."""
    parsed = []
    try:
        for item in items:
            parsed.append(parse(item))
    except BadInput as error:
        raise BadInput(f"Item {len(parsed)}: {error}") from error
    return parsed


def hash_of(unique_string: str) -> int:
    """64 bits of a text as a signed number, never 0, which means none: BLAKE2b with a digest of 8 bytes."""
    return int.from_bytes(hashlib.blake2b(unique_string.encode(), digest_size=8).digest(), signed=True) or 1


def tasks_content(leased: Leased) -> list[dict[str, Any]]:
    """The task objects of the API."""
    projects = {task.project.pk: task.project for task in leased.tasks}
    contents = {pk: project_content(project) for pk, project in projects.items()}
    return [{**task._asdict(), "project": contents[task.project.pk]} for task in leased.tasks]


def released_content(reports: Sequence[Report], released: Sequence[Released]) -> dict[str, Any]:
    """What became of each report."""
    results = []
    for report, one in zip(reports, released, strict=True):
        result = {"id": report.task_id, "updated": one.updated}
        message = release_message(one)
        results.append(result if message is None else {**result, "message": message})
    return {"updated": sum(one.updated for one in released), "results": results}


def release_message(released: Released) -> str | None:
    """Why a release updated nothing; None if it did."""
    if not released.held:
        return "This worker does not hold this task, or no longer: nothing was changed."
    if released.missing:
        return f"Verification noted; {released.missing} more with the same hash from other workers are needed."
    return None
