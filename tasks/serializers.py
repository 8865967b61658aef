"""How tasks look on the wire."""

import hashlib
from typing import Any

from rest_framework.fields import BooleanField, CharField, IntegerField, UUIDField

from projects.models import Project
from projects.serializers import ProjectContent, project_content
from tasks.queue import BULK_LIMIT, LeasedTask, NewTask, Result
from tracker.api.description import Content
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import INT16, INT32, Hash64, Id, LeaseId, Text, WholeNumber, shown
from tracker.api.serializers import RequestSerializer


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


# The bulk as a schema, since it may be an array; see parse_bulk_submit.
_BULK_ITEMS = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/SubmitRequest"},
    "minItems": 1,
    "maxItems": BULK_LIMIT,
}
BULK_SUBMIT = {
    "oneOf": [_BULK_ITEMS, {"type": "object", "properties": {"requests": _BULK_ITEMS}, "required": ["requests"]}]
}


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
    items = body.get("requests") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise BadInput(f'The body must be an array of submits or {{"requests": […]}}, not {shown(items)}.')
    if not 0 < len(items) <= BULK_LIMIT:
        raise InvalidField("requests", f"must hold 1 to {BULK_LIMIT} items, not {len(items)}.")
    project_id, tasks = 0, []
    for index, item in enumerate(items):
        try:
            item_project_id, task = parse_submit(item)
            if index and item_project_id != project_id:
                raise InvalidField("project", f"must be {project_id} as in item 0; a bulk is for one project.")
        except BadInput as error:
            raise BadInput(f"Item {index}: {error}") from error
        project_id = item_project_id
        tasks.append(task)
    return project_id, tasks


def hash_of(unique_string: str) -> int:
    """64 bits of a text as a signed number, never 0, which means none: BLAKE2b with a digest of 8 bytes."""
    return int.from_bytes(hashlib.blake2b(unique_string.encode(), digest_size=8).digest(), signed=True) or 1


def task_content(task: LeasedTask, project: Project) -> dict[str, Any]:
    """The task object of the API."""
    return {
        **task._asdict(),
        "assign_time": int(task.assign_time.timestamp()),
        "lease": str(task.lease),
        "project": project_content(project),
    }
