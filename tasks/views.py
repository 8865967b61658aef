"""The API of tasks."""

from django.conf import settings
from rest_framework.fields import BooleanField, ChoiceField, IntegerField
from rest_framework.request import Request

from accounts.authentication import SessionAuthentication, manager_of
from accounts.views import ManagerView
from projects.roles import Role, require
from projects.views import visible_project
from tasks import maintenance, queries, queue
from tasks.serializers import (
    BULK_SUBMIT,
    AssigneeContent,
    BulkResultContent,
    ReleaseRequest,
    SubmitRequest,
    SubmittedContent,
    TaskContent,
    WorkerStatsContent,
    parse_bulk_submit,
    parse_submit,
    task_content,
)
from tracker.api.body import is_large
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.errors import Forbidden
from tracker.api.views import ApiView
from workers.access import Standing, require_submit_anywhere, standing, standing_to_submit
from workers.authentication import WorkerView


class SubmitView(WorkerView):
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
        found = standing_to_submit(worker=self.worker, project_id=project_id)
        task_id = queue.submit(project=found.project, task=task)
        return Envelope({"task": {"id": task_id}})


class BulkSubmitView(WorkerView):
    """POST /task/bulk_submit."""

    max_body_bytes = settings.MAX_BULK_BODY_BYTES

    @describe(
        "Submit many tasks at once",
        details=(
            "All or nothing, for one project. Duplicates do not fail it; `results` has one entry for each task, in "
            "the order sent."
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
            require_submit_anywhere(self.worker)
        project_id, tasks = parse_bulk_submit(self.json())
        found = standing_to_submit(worker=self.worker, project_id=project_id)
        stored = queue.submit_many(project=found.project, tasks=tasks)
        results = [
            {"ok": False, "id": one.id, "message": queue.DuplicateTask.__doc__}
            if one.duplicate
            else {"ok": True, "id": one.id}
            for one in stored
        ]
        duplicates = sum(one.duplicate for one in stored)
        return Envelope({"created": len(stored) - duplicates, "duplicates": duplicates, "results": results})


class GetTaskView(WorkerView):
    """GET /task/get/:project."""

    @describe(
        "Lease a task",
        details=(
            "The one with the highest priority, the oldest first, and never one that this worker has verified already. "
            "When there is none, Retry-After says how many seconds to wait."
        ),
        content={"task": TaskContent},
        refusal={"reason": ChoiceField(["empty", "project_paused", "no_access", "verified_all"])},
        errors={403: None, 429: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        found = standing(worker=self.worker, project_id=project_id)
        if self.worker.paused:
            raise Forbidden("This worker is paused; a tracker admin can resume it.")
        task = queue.lease(project=found.project, worker=self.worker) if _may_lease(found) else None
        if task is None:
            return self._nothing(found)
        return Envelope({"task": task_content(task, found.project)})

    def _nothing(self, found: Standing) -> Envelope:
        if not found.may_assign:
            reason = "no_access"
        elif found.project.paused:
            reason = "project_paused"
        elif queue.has_verified_ready(project=found.project, worker=self.worker):
            reason = "verified_all"
        else:
            reason = "empty"
        # Existing clients recognise this text to the letter; with any other they would ask again without a pause.
        return Envelope(
            {"reason": reason},
            ok=False,
            message="No task available",
            headers={"Retry-After": str(settings.EMPTY_RETRY_AFTER)},
        )


class ReleaseView(WorkerView):
    """POST /task/release."""

    @describe(
        "Report a leased task",
        details="`updated` is false when the worker does not hold it, or when it still needs verifications.",
        body=ReleaseRequest,
        content={"updated": BooleanField()},
    )
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(ReleaseRequest)
        released = queue.release(
            worker=self.worker,
            task_id=fields["task_id"],
            result=queue.Result(fields["result"]),
            verification=fields["verification"],
            lease=fields["lease"],
        )
        if not released.held:
            message = "This worker does not hold this task, or no longer: nothing was changed."
        elif released.missing:
            message = f"Verification noted; {released.missing} more with the same hash from other workers are needed."
        else:
            message = None
        return Envelope({"updated": released.updated}, message=message)


class WorkerStatsView(ApiView):
    """GET /worker/stats. Here rather than with the workers, since it counts tasks."""

    @describe("All workers, and how many tasks each has closed", content={"stats": WorkerStatsContent(many=True)})
    def get(self, request: Request) -> Envelope:
        return Envelope({"stats": [one._asdict() for one in queries.worker_stats()]})


class AssigneesView(ApiView):
    """GET /project/assignees/:id. Here rather than with the projects, since it counts tasks."""

    authentication_classes = [SessionAuthentication]

    @describe("Who holds how many tasks", content={"assignees": AssigneeContent(many=True)})
    def get(self, request: Request, project_id: int) -> Envelope:
        held = queries.assignees(visible_project(request, project_id))
        return Envelope({"assignees": [{"assignee": alias, "task_count": count} for alias, count in held]})


class MaintenanceView(ManagerView):
    """POST /project/reset_failed_tasks/:id, reclaim_assigned_tasks/:id and hard_reset/:id."""

    action = staticmethod(maintenance.reset_failed)
    summary = "Give every failed task back to the queue"

    @describe("{view.summary}", details="Needs MAINTENANCE.", content={"affected_tasks": IntegerField()})
    def post(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        return Envelope({"affected_tasks": self.action(project=project)})


def _may_lease(found: Standing) -> bool:
    return found.may_assign and not found.project.paused
