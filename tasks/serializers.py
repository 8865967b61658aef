"""Requests and responses about tasks."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.conf import settings
from rest_framework.fields import BooleanField, CharField, ChoiceField, FloatField, IntegerField, ListField, UUIDField

from projects.serializers import ProjectContent, project_content
from tasks.queue import BATCH_LIMIT, BULK_LIMIT, LONGEST_WAIT, Leased, NewTask, Released, Report, Result
from tracker.api.body import EmptyBody
from tracker.api.description import Content
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import (
    INT16,
    INT32,
    Hash64,
    Id,
    LeaseId,
    Text,
    WholeNumber,
    WireField,
    WrongValue,
    quoted,
    shown,
)
from tracker.api.serializers import RequestSerializer

Item = TypeVar("Item")


class Recipe(Text):
    """The recipe of a task, of at most MAX_RECIPE_BYTES bytes in UTF-8."""

    def parse(self, value: Any) -> str:
        recipe = super().parse(value)
        problem = problem_with_recipe(recipe)
        if problem is not None:
            raise WrongValue(problem)
        return recipe


def problem_with_recipe(recipe: str) -> str | None:
    """What is wrong with the length of a recipe; None if nothing is."""
    most = settings.MAX_RECIPE_BYTES
    # A character has at most four bytes; most recipes need not be encoded to see that they are short.
    if 4 * len(recipe) <= most or (size := len(recipe.encode())) <= most:
        return None
    return f"must be at most {most} bytes long in UTF-8, not {size}; put what is longer where workers can fetch it."


class SubmitRequest(RequestSerializer):
    project = Id()
    recipe = Recipe(
        shortest=1,
        help_text=(
            f"What to do, in a form that your workers understand. At most {settings.MAX_RECIPE_BYTES} bytes in UTF-8."
        ),
    )
    max_retries = WholeNumber(
        low=0, high=INT32[1], default=0, help_text="FAILs after which the task is FAILED; 0 means 1."
    )
    priority = WholeNumber(low=INT16[0], high=INT16[1], default=0, help_text="Higher is leased first.")
    max_assign_time = WholeNumber(
        low=0, high=INT32[1], default=0, help_text="Duration of a lease in seconds; 0: the project's setting."
    )
    hash64 = Hash64(also="hash_u64", default=0, help_text="Unique in the project; 0: none. Signed or unsigned.")
    unique_string = Text(also="unique_str", default="", help_text="Hashed to 64 bits, instead of `hash64`.")
    verification_count = WholeNumber(
        low=0, high=INT16[1], default=0, help_text="How many different workers have to agree; 0 means 1."
    )

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        unique_string = values.pop("unique_string")
        if unique_string and values["hash64"]:
            raise InvalidField("unique_string", "can't be combined with hash64; send only one of them.")
        values["hash64"] = hash_of(unique_string) if unique_string else values["hash64"] or None


RESULTS = ", ".join(f"{one.value} {one.name}" for one in Result)


class ReleaseRequest(RequestSerializer):
    task_id = Id()
    result = WholeNumber(low=Result.OK, high=Result.SKIP, means=RESULTS, help_text=f"{RESULTS}.")
    verification = Hash64(default=0, help_text="A hash of the result, on which several workers may have to agree.")
    lease = LeaseId(required=False, help_text="The lease to end: the `lease` of the task from /task/get.")


WAIT = WholeNumber(
    low=0,
    high=LONGEST_WAIT,
    default=0,
    help_text="Seconds to wait for a task if there is none; the answer comes with it.",
)


LEASE_COUNT = f"Lease up to this many, as long as they have no more than {settings.MAX_BATCH_BYTES} bytes together"


class LeaseQuery(RequestSerializer):
    count = WholeNumber(
        low=1, high=BATCH_LIMIT, required=False, help_text=LEASE_COUNT + ", returned as `tasks`, not `task`."
    )
    wait = WAIT


class Reports(WireField, ListField):
    """Up to BATCH_LIMIT reports; an error names the index of the invalid item, as in a bulk call."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=ReleaseRequest(), max_length=BATCH_LIMIT, **options)

    def parse(self, value: Any) -> list[Report]:
        if type(value) is not list or len(value) > BATCH_LIMIT:
            found = f"{len(value)} of them" if type(value) is list else shown(value)
            raise WrongValue(f"must be an array of at most {BATCH_LIMIT} releases, not {found}.")
        return _each(parse_release, value)


class ExchangeRequest(RequestSerializer):
    project = Id()
    count = WholeNumber(low=1, high=BATCH_LIMIT, help_text=LEASE_COUNT + ".")
    releases = Reports(required=False, help_text="What to report before leasing.")
    wait = WAIT


def _items(declaration: str, limit: int) -> dict[str, Any]:
    items = {"$ref": f"#/components/schemas/{declaration}"}
    return {"type": "array", "items": items, "minItems": 1, "maxItems": limit}


def _array_or(key: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [items, {"type": "object", "properties": {key: items}, "required": [key]}]}


# Bulk bodies are described by schemas, since they may be arrays; see `_checked_items`.
BULK_SUBMIT = _array_or("requests", _items("SubmitRequest", BULK_LIMIT))
BULK_RELEASE = _array_or("releases", _items("ReleaseRequest", BATCH_LIMIT))

# Why no task was leased.
REASONS = ["empty", "project_paused", "no_access", "verified_all", "too_many_leases"]


class TaskContent(Content):
    id = Id()
    priority = IntegerField()
    assignee = Id(help_text="This worker.")
    retries = IntegerField(help_text="How often it was released as FAIL.")
    max_retries = IntegerField()
    status = IntegerField(help_text="1: leased.")
    recipe = Text()
    max_assign_time = IntegerField(help_text="Duration of a lease in seconds; 0: the project's setting.")
    assign_time = IntegerField(help_text="Unix seconds.")
    verification_count = IntegerField(help_text="How many different workers have to agree.")
    lease = UUIDField(help_text="Id of this lease, for /task/release.")
    project = ProjectContent()


class LeasedContent(Content):
    task = TaskContent(required=False, help_text="Without `count`.")
    tasks = TaskContent(many=True, required=False, help_text="With `count`, in the order of leasing.")


class ReportResultContent(Content):
    id = Id(help_text="The task's id.")
    updated = BooleanField()
    message = CharField(required=False)


class ReleasedContent(Content):
    updated = IntegerField(help_text="How many tasks were updated.")
    results = ReportResultContent(many=True)


class ExchangedContent(ReleasedContent):
    tasks = TaskContent(many=True)
    reason = ChoiceField([*REASONS, "worker_paused", "rate_limited"], required=False, help_text="Why `tasks` is empty.")
    rate_limit_delay = FloatField(required=False, help_text="Seconds until tasks can be leased again.")


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
    """The project's id and the task of a submit. Raises BadInput."""
    values = SubmitRequest.parse(body)
    return values.pop("project"), NewTask(**values)


def parse_bulk_submit(body: Any) -> tuple[int, list[NewTask]]:
    """The project's id and the tasks of a bulk submit. Raises BadInput, naming the index of the invalid item."""
    submits = _each(parse_submit, _checked_items(body, "requests", "submits", BULK_LIMIT))
    project_id = submits[0][0]
    for index, (other, _) in enumerate(submits):
        if other != project_id:
            raise BadInput(
                f"Item {index}: project: must be {project_id} as in item 0; a bulk submit is for one project."
            )
    return project_id, [task for _, task in submits]


def parse_release(body: Any) -> Report:
    """One report. Raises BadInput."""
    return Report(**ReleaseRequest.parse(body))


def parse_bulk_release(body: Any) -> list[Report]:
    """The reports of a bulk release. Raises BadInput, naming the index of the invalid item."""
    return _each(parse_release, _checked_items(body, "releases", "releases", BATCH_LIMIT))


def parse_exchange(body: Any) -> dict[str, Any]:
    """The arguments of queue.exchange but for the worker. Raises BadInput."""
    values = ExchangeRequest.parse(body)
    return {
        "project_id": values["project"],
        "count": values["count"],
        "wait": values["wait"],
        "reports": values["releases"] or [],
    }


def _checked_items(body: Any, key: str, name: str, limit: int) -> list[Any]:
    """The items of a bulk call, whose body is an array or an object with an array under the key."""
    items = body.get(key) if type(body) is dict else body
    if type(items) is not list:
        found = body.what.removeprefix("the body is ") if isinstance(body, EmptyBody) else _found(body, key)
        raise BadInput(f'The body must be an array of {name} or {{"{key}": […]}}, not {found}.')
    if not 0 < len(items) <= limit:
        raise InvalidField(key, f"must hold 1 to {limit} items, not {len(items)}.")
    return items


def _found(body: Any, key: str) -> str:
    """What a body has in place of the array."""
    if type(body) is not dict:
        return shown(body)
    return f"{shown(body[key])} under {quoted(key)}" if key in body else f"an object without {quoted(key)}"


def _each(parse: Callable[[Any], Item], items: list[Any]) -> list[Item]:
    """All items, parsed; an error names the index of the invalid item."""
    parsed = []
    try:
        for item in items:
            parsed.append(parse(item))
    except BadInput as error:
        raise BadInput(f"Item {len(parsed)}: {str(error).removeprefix('The body ')}") from error
    return parsed


def hash_of(unique_string: str) -> int:
    """A text's hash, 64 bits as a signed number: BLAKE2b with a digest of 8 bytes. Never 0, which means no hash."""
    return int.from_bytes(hashlib.blake2b(unique_string.encode(), digest_size=8).digest(), signed=True) or 1


def tasks_content(leased: Leased) -> list[dict[str, Any]]:
    """The task objects of the API."""
    projects = {task.project.pk: task.project for task in leased.tasks}
    contents = {pk: project_content(project) for pk, project in projects.items()}
    return [{**task._asdict(), "project": contents[task.project.pk]} for task in leased.tasks]


def released_content(reports: Sequence[Report], released: Sequence[Released]) -> dict[str, Any]:
    """The result of each report."""
    results = []
    for report, one in zip(reports, released, strict=True):
        result = {"id": report.task_id, "updated": one.updated}
        message = release_message(one)
        results.append(result if message is None else {**result, "message": message})
    return {"updated": sum(one.updated for one in released), "results": results}


def release_message(released: Released) -> str | None:
    """Why a release did not update the task; None if it did."""
    if not released.held:
        return "This worker does not hold this task, or no longer holds it; nothing was changed."
    if released.missing:
        return f"Verification noted; {released.missing} more with the same hash needed from other workers."
    return None
