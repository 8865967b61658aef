"""The API of tasks."""

import math

from django.conf import settings
from rest_framework.fields import BooleanField, ChoiceField, IntegerField
from rest_framework.request import Request

from accounts.authentication import SessionAuthentication, manager_of
from accounts.views import ManagerView
from projects.access import require
from projects.roles import Role
from projects.views import visible_project
from tasks import maintenance, queries, queue
from tasks.serializers import (
    BULK_RELEASE,
    BULK_SUBMIT,
    REASONS,
    AssigneeContent,
    BulkResultContent,
    ExchangedContent,
    ExchangeRequest,
    LeasedContent,
    LeaseQuery,
    ReleasedContent,
    ReleaseRequest,
    SubmitRequest,
    SubmittedContent,
    WorkerStatsContent,
    parse_bulk_release,
    parse_bulk_submit,
    parse_exchange,
    parse_release,
    parse_submit,
    release_message,
    released_content,
    tasks_content,
)
from tracker.api.body import is_large
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.views import ApiView
from workers.access import require_submit_anywhere
from workers.authentication import CallerView, WorkerView


class SubmitView(CallerView):
    """POST /task/submit."""

    @describe(
        "Submit a task",
        details="Needs SUBMIT. If a task with the same hash is still in the project, nothing is stored.",
        body=SubmitRequest,
        content={"task": SubmittedContent},
        errors={403: None, 404: None, 409: {"task": SubmittedContent}, 429: None},
    )
    def post(self, request: Request) -> Envelope:
        project_id, task = parse_submit(self.json())
        task_id = queue.submit(worker=self.caller, project_id=project_id, task=task)
        return Envelope({"task": {"id": task_id}})


class BulkSubmitView(CallerView):
    """POST /task/bulk_submit."""

    max_body_bytes = settings.MAX_BULK_BODY_BYTES

    @describe(
        "Submit many tasks at once",
        details=(
            "All or nothing, for one project. Duplicates do not fail the call; `results` has one entry for each "
            "task, in the order sent."
        ),
        body=BULK_SUBMIT,
        content={
            "created": IntegerField(),
            "duplicates": IntegerField(),
            "results": BulkResultContent(many=True),
        },
        errors={403: None, 404: None, 429: None},
    )
    def post(self, request: Request) -> Envelope:
        if is_large(request._request):
            require_submit_anywhere(self.caller)
        project_id, tasks = parse_bulk_submit(self.json())
        stored = queue.submit_many(worker=self.caller, project_id=project_id, tasks=tasks)
        results = [
            {"ok": False, "id": one.id, "message": queue.DuplicateTask.__doc__}
            if one.duplicate
            else {"ok": True, "id": one.id}
            for one in stored
        ]
        duplicates = sum(one.duplicate for one in stored)
        return Envelope({"created": len(stored) - duplicates, "duplicates": duplicates, "results": results})


class GetTaskView(CallerView):
    """GET /task/get/:project."""

    @describe(
        "Lease a task, or with `count` several",
        details=(
            "Highest priority first, then oldest; never a task that this worker has already verified. When there is "
            "none, Retry-After says how many seconds to wait."
        ),
        query=LeaseQuery,
        content=LeasedContent,
        refusal={"reason": ChoiceField(REASONS)},
        errors={403: None, 429: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        count = self.query(LeaseQuery)["count"]
        return lease_answer(queue.lease_many(worker=self.caller, project_id=project_id, count=count or 1), count)


class GetAnyTaskView(WorkerView):
    """GET /task/get."""

    @describe(
        "Lease a task, or with `count` several, from any project",
        details=(
            "From the projects that this worker may lease from, highest project priority first and in random order "
            "among equals; within a project, in the order of /task/get/:project."
        ),
        query=LeaseQuery,
        content=LeasedContent,
        refusal={"reason": ChoiceField(["empty"])},
        errors={403: None, 429: None},
    )
    def get(self, request: Request) -> Envelope:
        count = self.query(LeaseQuery)["count"]
        return lease_answer(queue.lease_anywhere(worker=self.worker, count=count or 1), count)


class ReleaseView(CallerView):
    """POST /task/release."""

    @describe(
        "Report a leased task",
        details="`updated` is false when the worker does not hold the task, or when it needs more verifications.",
        body=ReleaseRequest,
        content={"updated": BooleanField()},
    )
    def post(self, request: Request) -> Envelope:
        report = parse_release(self.json())
        released = queue.release(worker=self.caller, **report._asdict())
        return Envelope({"updated": released.updated}, message=release_message(released))


class BulkReleaseView(CallerView):
    """POST /task/bulk_release."""

    @describe(
        "Report many leased tasks at once",
        details="All in one transaction. `results` has one entry for each report, in the order sent.",
        body=BULK_RELEASE,
        content=ReleasedContent,
    )
    def post(self, request: Request) -> Envelope:
        reports = parse_bulk_release(self.json())
        return Envelope(released_content(reports, queue.release_many(worker=self.caller, reports=reports)))


class ExchangeView(CallerView):
    """POST /task/exchange."""

    @describe(
        "Report leased tasks and lease the next ones",
        details=(
            "Like /task/bulk_release and then /task/get with `count`, in one transaction. When nothing can be leased, "
            "the reports still count; then `tasks` is empty, `reason` says why, and Retry-After how long to wait."
        ),
        body=ExchangeRequest,
        content=ExchangedContent,
        errors={404: None},
    )
    def post(self, request: Request) -> Envelope:
        project_id, count, reports = parse_exchange(self.json())
        released, leased = queue.exchange(worker=self.caller, project_id=project_id, count=count, reports=reports)
        content = released_content(reports, released) | {"tasks": tasks_content(leased)}
        if leased.tasks:
            return Envelope(content)
        content["reason"] = leased.reason
        if leased.delay is not None:
            content["rate_limit_delay"] = leased.delay
        return Envelope(content, headers={"Retry-After": str(math.ceil(leased.delay or settings.EMPTY_RETRY_AFTER))})


def lease_answer(leased: queue.Leased, count: int | None) -> Envelope:
    """The response to a lease: one task, or a list of tasks if a `count` was given."""
    if not leased.tasks:
        # Existing clients compare this text exactly; after any other text they would retry without a pause.
        return Envelope(
            {"reason": leased.reason},
            ok=False,
            message="No task available",
            headers={"Retry-After": str(settings.EMPTY_RETRY_AFTER)},
        )
    tasks = tasks_content(leased)
    return Envelope({"task": tasks[0]} if count is None else {"tasks": tasks})


class WorkerStatsView(ApiView):
    """GET /worker/stats. It is in this app rather than in workers, since it counts tasks."""

    @describe("All workers, and how many tasks each has closed", content={"stats": WorkerStatsContent(many=True)})
    def get(self, request: Request) -> Envelope:
        return Envelope({"stats": [one._asdict() for one in queries.worker_stats()]})


class AssigneesView(ApiView):
    """GET /project/assignees/:id. It is in this app rather than in projects, since it counts tasks."""

    authentication_classes = [SessionAuthentication]

    @describe("How many tasks each worker holds", content={"assignees": AssigneeContent(many=True)})
    def get(self, request: Request, project_id: int) -> Envelope:
        held = queries.assignees(visible_project(request, project_id))
        return Envelope({"assignees": [{"assignee": alias, "task_count": count} for alias, count in held]})


class MaintenanceView(ManagerView):
    """POST /project/reset_failed_tasks/:id, reclaim_assigned_tasks/:id and hard_reset/:id."""

    action = staticmethod(maintenance.reset_failed)
    summary = "Return every failed task to the queue"

    @describe("{view.summary}", details="Needs MAINTENANCE.", content={"affected_tasks": IntegerField()})
    def post(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        return Envelope({"affected_tasks": self.action(project=project)})
