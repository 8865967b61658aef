"""The API of tasks."""

from django.conf import settings
from rest_framework.fields import BooleanField, ChoiceField, IntegerField
from rest_framework.request import Request

from accounts.authentication import SessionAuthentication, manager_of
from accounts.views import ManagerView
from projects.access import require
from projects.models import Project
from projects.roles import Role
from projects.views import visible_project
from tasks import calls, maintenance, putting_back, queries
from tasks.heartbeats import BULK_HEARTBEAT, CANCELLED, HeartbeatContent
from tasks.queries import figures
from tasks.queries.figures import Order, Period
from tasks.reports import ReleaseRequest
from tasks.serializers import (
    BULK_RELEASE,
    BULK_SUBMIT,
    REASONS,
    AcceptRequest,
    AssigneeContent,
    BulkResultContent,
    ExchangedContent,
    ExchangeRequest,
    FiguresQuery,
    LeasedContent,
    LeaseQuery,
    OwnFiguresContent,
    ReleasedContent,
    SubmitRequest,
    SubmittedContent,
    WorkerFiguresContent,
    WorkersQuery,
    WorkerStatsContent,
    figures_content,
    worker_figures_content,
)
from tracker.api import paging
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.views import ApiView
from workers.authentication import CallerView, WorkerView
from workers.models import OperatorMark, Worker


class SubmitView(CallerView):
    """POST /task/submit."""

    handler = staticmethod(calls.submit)

    @describe(
        "Submit a task",
        details="Needs SUBMIT. If a task with the same hash is still in the project, nothing is stored.",
        body=SubmitRequest,
        content={"task": SubmittedContent},
        errors={403: None, 404: None, 409: {"task": SubmittedContent}, 429: None},
        repeatable=True,
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class BulkSubmitView(CallerView):
    """POST /task/bulk_submit."""

    handler = staticmethod(calls.bulk_submit)
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
        repeatable=True,
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class GetTaskView(CallerView):
    """GET /task/get/:project."""

    handler = staticmethod(calls.get_task)

    @describe(
        "Lease a task, or with `count` several",
        details=(
            "Highest priority first, then oldest; never a task that this worker has already verified. When there is "
            "none, Retry-After says in how many seconds to ask again; with `wait`, the answer comes when there is one."
        ),
        query=LeaseQuery,
        content=LeasedContent,
        refusal={"reason": ChoiceField(REASONS)},
        errors={403: None, 429: None},
        repeatable=True,
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        return self.answer(project_id=project_id)


class GetAnyTaskView(CallerView):
    """GET /task/get."""

    handler = staticmethod(calls.get_any_task)

    @describe(
        "Lease a task, or with `count` several, from any project",
        details=(
            "From the projects that this worker may lease from, highest project priority first and in random order "
            "among equals; within a project, in the order of /task/get/:project."
        ),
        query=LeaseQuery,
        content=LeasedContent,
        refusal={"reason": ChoiceField(["empty", "leased", "delayed", "too_many_leases"])},
        errors={403: None, 429: None},
        repeatable=True,
    )
    def get(self, request: Request) -> Envelope:
        return self.answer()


class ReleaseView(CallerView):
    """POST /task/release."""

    handler = staticmethod(calls.release)

    @describe(
        "Report a leased task",
        details="`updated` is false when the worker does not hold the task, or when it needs more verifications.",
        body=ReleaseRequest,
        content={
            "updated": BooleanField(),
            "reason": ChoiceField([CANCELLED], required=False, help_text="It was cancelled under the `lease` sent."),
        },
        repeatable=True,
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class BulkReleaseView(CallerView):
    """POST /task/bulk_release."""

    handler = staticmethod(calls.bulk_release)
    # Outputs may be long.
    max_body_bytes = settings.MAX_BULK_BODY_BYTES

    @describe(
        "Report many leased tasks at once",
        details="All in one transaction. `results` has one entry for each report, in the order sent.",
        body=BULK_RELEASE,
        content=ReleasedContent,
        repeatable=True,
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class HeartbeatView(CallerView):
    """POST /task/heartbeat."""

    handler = staticmethod(calls.heartbeat)

    @describe(
        "Extend leases",
        details=(
            "Each to the time that its task is leased for from now, or by `seconds`. A lease that is over can be "
            "extended, too, as long as nobody else has the task. The answers are in the order sent; of several for one "
            "lease, the last one counts."
        ),
        body=BULK_HEARTBEAT,
        content={"heartbeats": HeartbeatContent(many=True)},
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class ExchangeView(CallerView):
    """POST /task/exchange."""

    handler = staticmethod(calls.exchange)
    # Outputs may be long.
    max_body_bytes = settings.MAX_BULK_BODY_BYTES

    @describe(
        "Report leased tasks and lease the next ones",
        details=(
            "Like /task/bulk_release and then /task/get with `count`, in one transaction. When nothing can be leased, "
            "the reports still count; then `tasks` is empty, `reason` says why, and Retry-After when to ask again. "
            "With `wait`, the reports are processed at once, and the answer comes when there is a task. `heartbeats` "
            "are processed after the reports, so that the lease of a reported task is lost."
        ),
        body=ExchangeRequest,
        content=ExchangedContent,
        errors={404: None},
        repeatable=True,
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class WorkerStatsView(ApiView):
    """GET /worker/stats. It is in this app rather than in workers, since it counts tasks."""

    @describe(
        "All workers, and how many tasks each has closed",
        query=paging.PageQuery,
        content={"stats": WorkerStatsContent(many=True), **paging.next_page()},
    )
    def get(self, request: Request) -> Envelope:
        page = self.query(paging.PageQuery)
        found = queries.worker_stats(after=page["after"], limit=page["limit"] + 1)
        shown, following = paging.cut(found, limit=page["limit"], key="id")
        return Envelope({"stats": [one._asdict() for one in shown]} | following)


class OwnFiguresView(WorkerView):
    """GET /worker/figures. Without marks: whoever cheats should not learn when it is noticed."""

    @describe(
        "What the worker has done",
        details="In each project in which its leases have ended, by the project's id.",
        query=FiguresQuery,
        content={"figures": OwnFiguresContent(many=True), **paging.next_page()},
    )
    def get(self, request: Request) -> Envelope:
        query = self.query(FiguresQuery)
        projects = Project.objects.filter(pk__gt=query["after"] or 0).values_list("pk", flat=True)
        found = figures.of_worker(self.worker.pk, projects, Period(query["period"]), compare=False)
        found.sort(key=lambda one: one.project)
        shown, following = paging.cut(found, limit=query["limit"], key="project")
        return Envelope({"figures": [{"project": one.project, **figures_content(one)} for one in shown]} | following)


class ProjectWorkersView(ManagerView):
    """GET /project/workers/:id."""

    @describe(
        "What each worker of a project has done",
        details="For managers; a hidden project needs READ. Those are marked that stand out from the others.",
        query=WorkersQuery,
        content={"workers": WorkerFiguresContent(many=True), **paging.next_page()},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project, query = visible_project(request, project_id), self.query(WorkersQuery)
        found, more = figures.of_project(
            project.pk,
            Period(query["period"]),
            order=Order(query["sort"]),
            after=query["after"],
            limit=query["limit"],
        )
        workers = Worker.objects.in_bulk([one.worker for one in found])
        operators = dict(
            OperatorMark.objects.filter(project=project, worker__in=workers).values_list("worker_id", "operator")
        )
        content = [worker_figures_content(one, workers.get(one.worker), operators.get(one.worker)) for one in found]
        return Envelope({"workers": content} | ({"after": found[-1].worker} if more else {}))


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


class AcceptVoteView(ManagerView):
    """POST /project/accept_vote/:id."""

    @describe(
        "Close a task by hand, with one of its votes",
        details=(
            "Needs MAINTENANCE. For tasks on which the workers don't agree, FAILED for that or not. It counts as "
            "closed by the first worker that gave this hash, with the message and output that it told; votes for "
            "other hashes count as outvoted."
        ),
        body=AcceptRequest,
        errors={403: None},
    )
    def post(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        asked = self.parsed(AcceptRequest)
        maintenance.accept_vote(project=project, task=asked["task_id"], verification=asked["verification"])
        return Envelope()


class PutBackClosedView(ManagerView):
    """POST /project/put_back_closed/:id/:wid."""

    @describe(
        "Open the tasks again that a worker has closed alone",
        details=(
            "Needs MAINTENANCE. Those that are still kept, except where another worker has verified the same hash. "
            "`hash_taken` counts tasks that stay closed since another one with their hash was submitted. A task keeps "
            "its id, but not `max_retries`, `max_assign_time` and `verification_count`, which become the defaults. "
            "Copies in the next project of a chain stay. Pause the worker first, or it may take them again."
        ),
        content={"affected_tasks": IntegerField(), "hash_taken": IntegerField()},
        errors={403: None},
    )
    def post(self, request: Request, project_id: int, worker_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        done = putting_back.put_back_closed(project=project, worker=worker_id)
        return Envelope({"affected_tasks": done.tasks, "hash_taken": done.taken})


class PutBackVotesView(ManagerView):
    """POST /project/put_back_votes/:id/:wid."""

    @describe(
        "Take a worker's votes off the tasks that are not closed",
        details="Needs MAINTENANCE. Other workers are asked instead. Pause the worker first, or it may vote again.",
        content={"affected_tasks": IntegerField()},
        errors={403: None},
    )
    def post(self, request: Request, project_id: int, worker_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        return Envelope({"affected_tasks": putting_back.put_back_votes(project=project, worker=worker_id)})
