"""How tasks look on the wire."""

import hashlib
from typing import Any

from projects.models import Project
from projects.serializers import project_content
from tasks.queue import BULK_LIMIT, LeasedTask, NewTask, Result
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import INT16, INT32, Hash64, Id, LeaseId, Text, WholeNumber, shown
from tracker.api.serializers import RequestSerializer


class SubmitRequest(RequestSerializer):
    project = Id()
    recipe = Text(filled=True)
    max_retries = WholeNumber(low=0, high=INT32[1], default=0)
    priority = WholeNumber(low=INT16[0], high=INT16[1], default=0)
    max_assign_time = WholeNumber(low=0, high=INT32[1], default=0)
    hash64 = Hash64(also="hash_u64", default=0)
    unique_string = Text(also="unique_str", default="")
    verification_count = WholeNumber(low=0, high=INT16[1], default=0)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        unique_string = values.pop("unique_string")
        if unique_string and values["hash64"]:
            raise InvalidField("unique_string", "can't stand beside a hash64; send one of them.")
        values["hash64"] = hash_of(unique_string) if unique_string else values["hash64"] or None


class ReleaseRequest(RequestSerializer):
    task_id = Id()
    result = WholeNumber(low=Result.OK, high=Result.SKIP)
    verification = Hash64(default=0)
    lease = LeaseId(required=False)


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
