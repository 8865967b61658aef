"""Requests and responses about tasks."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from rest_framework.fields import BooleanField, CharField, ChoiceField, FloatField, IntegerField, ListField, UUIDField

from projects.serializers import ProjectContent, project_content
from tasks import marks, timing
from tasks.heartbeats import CANCELLED, HeartbeatContent, Heartbeats
from tasks.queries.figures import Figures, Order, Period
from tasks.queue import BATCH_LIMIT, BULK_LIMIT, LONGEST_WAIT, Leased, NewTask, Released, Report
from tasks.reports import ReleaseRequest, Reports
from tasks.timing import Duration, Moment, take_timing
from tracker.api import paging
from tracker.api.description import Content
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import (
    INT16,
    INT32,
    Choice,
    Hash64,
    Id,
    Text,
    WholeNumber,
    WrongValue,
)
from tracker.api.items import array_or, items_of, parsed_items
from tracker.api.serializers import RequestSerializer
from tracker.api.spelling import check_spelling
from workers.models import Worker


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
        low=0,
        high=INT32[1],
        default=0,
        help_text=(
            "How many attempts it has: at this many FAILs it is FAILED. 0 and 1: one attempt. After a FAIL that is not "
            "the last, it is ready again, at once unless the project has a delay. SKIPs and expired leases don't count."
        ),
    )
    priority = WholeNumber(low=INT16[0], high=INT16[1], default=0, help_text="Higher is leased first.")
    max_assign_time = WholeNumber(
        low=0,
        high=INT32[1],
        default=0,
        help_text=(
            "Duration of a lease in seconds; 0: the project's setting. It counts from the lease, also for a task that "
            "is leased with others: longer than a worker needs for all that it leases at once."
        ),
    )
    hash64 = Hash64(also="hash_u64", default=0, help_text="Unique in the project; 0: none. Signed or unsigned.")
    unique_string = Text(also="unique_str", default="", help_text="Hashed to 64 bits, instead of `hash64`.")
    verification_count = WholeNumber(
        low=0, high=INT16[1], default=0, help_text="How many different workers have to agree; 0 means 1."
    )
    run_at = Moment(required=False, help_text="When it becomes ready, in Unix seconds; it is `delayed` until then.")
    delay = Duration(required=False, help_text="The same as seconds from now.")
    expires_at = Moment(
        required=False,
        help_text=(
            "In Unix seconds. From then on the task is not leased, and becomes FAILED for the reason `expired`; who "
            "holds it then may still finish it."
        ),
    )
    expires_in = Duration(required=False, help_text="The same as seconds from now.")

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        take_timing(values)
        unique_string = values.pop("unique_string")
        if unique_string and values["hash64"]:
            raise InvalidField("unique_string", "can't be combined with hash64; send only one of them.")
        values["hash64"] = hash_of(unique_string) if unique_string else values["hash64"] or None


WAIT = WholeNumber(
    low=0,
    high=LONGEST_WAIT,
    default=0,
    help_text="Seconds to wait for a task if there is none; the answer comes with it.",
)


LEASE_COUNT = (
    f"Lease up to this many, as long as they have no more than {settings.MAX_BATCH_BYTES} bytes together. All their "
    "leases begin now: take as many as are done before the first of them expires"
)


class LeaseQuery(RequestSerializer):
    count = WholeNumber(
        low=1, high=BATCH_LIMIT, required=False, help_text=LEASE_COUNT + ". Returned as `tasks`, not `task`."
    )
    wait = WAIT


class ExchangeRequest(RequestSerializer):
    project = Id()
    count = WholeNumber(low=1, high=BATCH_LIMIT, help_text=LEASE_COUNT + ".")
    releases = Reports(required=False, help_text="What to report before leasing.")
    heartbeats = Heartbeats(required=False, help_text="Which other leases to extend; see /task/heartbeat.")
    wait = WAIT


# Bulk bodies are described by schemas, since they may be arrays; see items_of.
BULK_SUBMIT = array_or("requests", SubmitRequest, BULK_LIMIT)
BULK_RELEASE = array_or("releases", ReleaseRequest, BATCH_LIMIT)

# Why no task was leased.
REASONS = ["empty", "leased", "delayed", "project_paused", "no_access", "verified_all", "too_many_leases"]


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
    reason = ChoiceField([CANCELLED], required=False, help_text="The task was cancelled under the `lease` sent.")


class ReleasedContent(Content):
    updated = IntegerField(help_text="How many tasks were updated.")
    results = ReportResultContent(many=True)


class ExchangedContent(ReleasedContent):
    tasks = TaskContent(many=True)
    heartbeats = HeartbeatContent(many=True, required=False, help_text="If any were sent, in the order sent.")
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


class AcceptRequest(RequestSerializer):
    strict = True

    task_id = Id()
    verification = Hash64(help_text="The hash that is right, one of the task's votes.")


class FiguresQuery(paging.PageQuery):
    period = Choice(
        choices=[one.value for one in Period],
        default=Period.ALL.value,
        help_text="Since midnight UTC, the last 24 hours (whole hours), or since ever.",
    )


class WorkersQuery(FiguresQuery):
    limit = WholeNumber(low=1, high=200, default=100)
    sort = Choice(
        choices=[one.value for one in Order],
        default=Order.CLOSED.value,
        help_text=(
            "What comes first: most closed; the highest share of failed or of outvoted ones, with the benefit of the "
            "doubt, so that 1 of 1 comes after 90 of 100; or last seen."
        ),
    )


class FiguresContent(Content):
    closed = IntegerField(help_text="Tasks that it closed.")
    failed = IntegerField(help_text="Leases that it released as FAIL.")
    skipped = IntegerField(help_text="Leases that it released as SKIP.")
    expired = IntegerField()
    agreed = IntegerField(help_text="Its votes, closing ones included, that agree with the hash that closed the task.")
    outvoted = IntegerField(help_text="Its votes against the hash that closed the task.")
    median_seconds = FloatField(allow_null=True, help_text="What half of its closed tasks took at most, within 9 %.")
    p95_seconds = FloatField(allow_null=True, help_text="What 95 % of them took at most, within 9 %.")
    last_seen = IntegerField(
        allow_null=True, help_text="Unix seconds: the newest of these; null: before they were counted."
    )


class OwnFiguresContent(FiguresContent):
    project = Id()


class WorkerFiguresContent(FiguresContent):
    id = Id()
    alias = Text(allow_null=True, help_text="null: the worker was deleted.")
    paused = BooleanField()
    operator = Text(allow_null=True, help_text="What a manager calls the operator of this and other workers.")
    marks = ListField(
        child=ChoiceField([one.value for one in marks.Mark]),
        help_text="What it does much more often than the project's other workers: `fails` (or expires), `disagrees`.",
    )


class AssigneeContent(Content):
    assignee = Text()
    task_count = IntegerField()


_SUBMIT_KEYS = frozenset(SubmitRequest._known)


def parse_submit(body: Any) -> tuple[int, NewTask]:
    """The project's id and the task of a submit. Raises BadInput."""
    values = SubmitRequest.parse(body)
    if not body.keys() <= _SUBMIT_KEYS:
        check_spelling(body, known=SubmitRequest._known, newer=timing.NAMES, of="a task")
    return values.pop("project"), NewTask(**values)


def parse_bulk_submit(body: Any) -> tuple[int, list[NewTask]]:
    """The project's id and the tasks of a bulk submit. Raises BadInput, naming the index of the invalid item."""
    submits = parsed_items(parse_submit, items_of(body, key="requests", most=BULK_LIMIT, called="submits"))
    project_id = submits[0][0]
    for index, (other, _) in enumerate(submits):
        if other != project_id:
            raise BadInput(
                f"Item {index}: project: must be {project_id} as in item 0; a bulk submit is for one project."
            )
    return project_id, [task for _, task in submits]


def parse_exchange(body: Any) -> dict[str, Any]:
    """The arguments of queue.exchange but for the worker. Raises BadInput."""
    values = ExchangeRequest.parse(body)
    return {
        "project_id": values["project"],
        "count": values["count"],
        "wait": values["wait"],
        "reports": values["releases"] or [],
        "heartbeats": values["heartbeats"],
    }


def hash_of(unique_string: str) -> int:
    """A text's hash, 64 bits as a signed number: BLAKE2b with a digest of 8 bytes. Never 0, which means no hash."""
    return int.from_bytes(hashlib.blake2b(unique_string.encode(), digest_size=8).digest(), signed=True) or 1


def figures_content(figures: Figures) -> dict[str, Any]:
    """The figures of a worker in a project."""
    return {
        "closed": figures.closed,
        "failed": figures.failed,
        "skipped": figures.skipped,
        "expired": figures.expired,
        "agreed": figures.agreed,
        "outvoted": figures.outvoted,
        "median_seconds": figures.median,
        "p95_seconds": figures.p95,
        "last_seen": None if figures.seen is None else int(figures.seen.timestamp()),
    }


def worker_figures_content(figures: Figures, worker: Worker | None, operator: str | None) -> dict[str, Any]:
    """The same for a list of workers; None for a deleted one."""
    return {
        "id": figures.worker,
        "alias": worker and worker.alias,
        "paused": worker is not None and worker.paused,
        **figures_content(figures),
        "operator": operator,
        "marks": [mark.value for mark in figures.marks],
    }


def tasks_content(leased: Leased) -> list[dict[str, Any]]:
    """The task objects of the API."""
    projects = {task.project.pk: task.project for task in leased.tasks}
    contents = {pk: project_content(project) for pk, project in projects.items()}
    return [{**task._asdict(), "project": contents[task.project.pk]} for task in leased.tasks]


def released_content(reports: Sequence[Report], released: Sequence[Released]) -> dict[str, Any]:
    """The result of each report."""
    results = []
    for report, one in zip(reports, released, strict=True):
        result: dict[str, Any] = {"id": report.task_id, "updated": one.updated}
        message = release_message(one)
        if message is not None:
            result["message"] = message
        if one.cancelled:
            result["reason"] = CANCELLED
        results.append(result)
    return {"updated": sum(one.updated for one in released), "results": results}


def release_message(released: Released) -> str | None:
    """Why a release did not update the task; None if it did."""
    if not released.held:
        return "This worker does not hold this task, or no longer holds it; nothing was changed."
    if released.missing:
        return f"Verification noted; {released.missing} more with the same hash needed from other workers."
    return None
