"""The API of workers."""

from rest_framework.fields import IntegerField
from rest_framework.request import Request

from accounts.authentication import IsTrackerAdmin, SessionAuthentication, manager_of
from accounts.views import ManagerView
from projects.access import require
from projects.models import Project
from projects.roles import Role
from tracker.api import paging
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.errors import NotFound
from tracker.api.fields import Text
from tracker.api.throttle import throttled
from tracker.api.views import ApiView
from workers import queries, services
from workers.access import project_with_secret
from workers.authentication import ReaderView, WorkerView
from workers.models import Worker
from workers.serializers import (
    AccessContent,
    AccessRequest,
    AliasRequest,
    OperatorRequest,
    SecretRequest,
    SetPausedRequest,
    WorkerContent,
    WorkerWithSecretContent,
    access_content,
    worker_content,
)


class CreateWorkerView(ApiView):
    """POST /worker/create. The response contains the secret."""

    @describe(
        "Register a worker",
        body=AliasRequest,
        content={"worker": WorkerWithSecretContent},
        errors={403: None, 429: None},
    )
    @throttled("worker_create", rate_setting="WORKER_CREATE_RATE")
    @throttled("worker_create_daily", rate_setting="WORKER_CREATE_DAILY_RATE")
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(AliasRequest)
        worker, secret = services.create_worker(alias=fields["alias"])
        return Envelope({"worker": {**worker_content(worker), "secret": secret}})


class UpdateWorkerView(WorkerView):
    """POST /worker/update: the worker renames itself."""

    @describe("Rename the worker", body=AliasRequest, errors={403: None})
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(AliasRequest)
        services.rename(worker=self.worker, alias=fields["alias"])
        return Envelope()


class GetWorkerView(ApiView):
    """GET /worker/get/:id."""

    @describe("A worker", content={"worker": WorkerContent})
    def get(self, request: Request, worker_id: int) -> Envelope:
        worker = Worker.objects.filter(pk=worker_id).first()
        if worker is None:
            raise NotFound(f"There is no worker {worker_id}.")
        return Envelope({"worker": worker_content(worker)})


class RotateSecretView(WorkerView):
    """POST /worker/rotate_secret."""

    @describe(
        "Get a new secret",
        details="The old one stops working at once.",
        content={"worker": WorkerWithSecretContent},
    )
    def post(self, request: Request) -> Envelope:
        worker, secret = services.rotate_secret(worker=self.worker)
        return Envelope({"worker": {**worker_content(worker), "secret": secret}})


class SetPausedView(ApiView):
    """POST /worker/set_paused."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsTrackerAdmin]

    @describe("Pause or resume a worker", body=SetPausedRequest)
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(SetPausedRequest)
        services.set_paused(worker_id=fields["worker"], paused=fields["paused"])
        return Envelope()


class RequestAccessView(WorkerView):
    """POST /project/request_access."""

    @describe(
        "Ask for access to a project",
        details=(
            "This also works for a hidden project; the response does not reveal whether it exists. In a public "
            "project, ASSIGN opens the project's secret."
        ),
        body=AccessRequest,
    )
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(AccessRequest)
        message = services.request_access(
            worker=self.worker, project_id=fields["project"], assign=fields["assign"], submit=fields["submit"]
        )
        return Envelope(message=message)


class OperatorView(ManagerView):
    """POST /project/set_operator/:id."""

    @describe(
        "Take workers for one operator's",
        details=(
            "Needs MAINTENANCE. In this project, the votes of an operator's workers on a task count once, those given "
            "before as well, and none is given a task that another has verified."
        ),
        body=OperatorRequest,
        content={"affected_workers": IntegerField()},
        errors={403: None},
    )
    def post(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        return Envelope({"affected_workers": services.mark_operator(project=project, **self.parsed(OperatorRequest))})


class ProjectSecretView(ReaderView):
    """GET and POST /project/secret/:id: for managers with SECRET; a worker with ASSIGN may read it."""

    @describe(
        "The secret that a project's workers share",
        details=(
            "For workers with ASSIGN and managers with SECRET. While nobody has set it, every worker reads `{}` in a "
            "public project."
        ),
        content={"secret": Text()},
        errors={401: None, 403: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        reader = self.reader(request)
        if isinstance(reader, Worker):
            project = project_with_secret(worker=reader, project_id=project_id)
        else:
            project = require(reader, project_id, Role.SECRET)
        return Envelope({"secret": project.secret})

    @describe(
        "Set the secret that the project's workers share",
        details="Needs SECRET.",
        body=SecretRequest,
        errors={401: None, 403: None},
    )
    def post(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.SECRET)
        Project.objects.filter(pk=project.pk).update(**self.parsed(SecretRequest))
        return Envelope()


class AccessListView(ManagerView):
    """GET /project/access_list/:id, pending requests first."""

    @describe(
        "Workers with access or a pending request",
        details="Needs MANAGE_ACCESS. Pending requests come first.",
        query=paging.PageQuery,
        content={"accesses": AccessContent(many=True), **paging.next_page()},
        errors={403: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MANAGE_ACCESS)
        page, following = queries.accesses_page(project, **self.query(paging.PageQuery))
        return Envelope({"accesses": [access_content(access) for access in page]} | following)


class AcceptRequestView(ManagerView):
    """POST /project/accept_request/:id/:wid."""

    @describe("Grant a worker what it asked for", details="Needs MANAGE_ACCESS. Effective on the worker's next call.")
    def post(self, request: Request, project_id: int, worker_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MANAGE_ACCESS)
        services.accept_request(project=project, worker_id=worker_id)
        return Envelope()


class RejectRequestView(ManagerView):
    """POST /project/reject_request/:id/:wid."""

    @describe("Reject a request, revoke access", details="Needs MANAGE_ACCESS. Effective on the worker's next call.")
    def post(self, request: Request, project_id: int, worker_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.MANAGE_ACCESS)
        services.reject_request(project=project, worker_id=worker_id)
        return Envelope()
