"""The API of workers."""

from rest_framework.request import Request

from accounts.authentication import IsTrackerAdmin, SessionAuthentication
from tracker.api.envelope import Envelope
from tracker.api.errors import Forbidden, NotFound
from tracker.api.throttle import throttled
from tracker.api.views import ApiView
from workers import services
from workers.access import standing
from workers.authentication import WorkerView
from workers.models import Worker
from workers.serializers import AccessRequest, AliasRequest, SetPausedRequest, worker_content


class CreateWorkerView(ApiView):
    """POST /worker/create. The one answer that carries the secret."""

    @throttled("worker_create", rate_setting="WORKER_CREATE_RATE")
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(AliasRequest)
        worker, secret = services.create_worker(alias=fields["alias"])
        return Envelope({"worker": {**worker_content(worker), "secret": secret}})


class UpdateWorkerView(WorkerView):
    """POST /worker/update: the worker renames itself."""

    def post(self, request: Request) -> Envelope:
        fields = self.parsed(AliasRequest)
        services.rename(worker=self.worker, alias=fields["alias"])
        return Envelope()


class GetWorkerView(ApiView):
    """GET /worker/get/:id."""

    def get(self, request: Request, worker_id: int) -> Envelope:
        worker = Worker.objects.filter(pk=worker_id).first()
        if worker is None:
            raise NotFound(f"There is no worker {worker_id}.")
        return Envelope({"worker": worker_content(worker)})


class RotateSecretView(WorkerView):
    """POST /worker/rotate_secret."""

    def post(self, request: Request) -> Envelope:
        worker, secret = services.rotate_secret(worker=self.worker)
        return Envelope({"worker": {**worker_content(worker), "secret": secret}})


class SetPausedView(ApiView):
    """POST /worker/set_paused."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsTrackerAdmin]

    def post(self, request: Request) -> Envelope:
        fields = self.parsed(SetPausedRequest)
        services.set_paused(worker_id=fields["worker"], paused=fields["paused"])
        return Envelope()


class RequestAccessView(WorkerView):
    """POST /project/request_access."""

    def post(self, request: Request) -> Envelope:
        fields = self.parsed(AccessRequest)
        message = services.request_access(
            worker=self.worker, project_id=fields["project"], assign=fields["assign"], submit=fields["submit"]
        )
        return Envelope(message=message)


class ProjectSecretView(WorkerView):
    """GET /project/secret/:id, for a worker that holds ASSIGN there."""

    def get(self, request: Request, project_id: int) -> Envelope:
        found = standing(worker=self.worker, project_id=project_id)
        if not found.has_assign:
            raise Forbidden(f"This worker holds no ASSIGN on project {project_id}; ask for it.")
        return Envelope({"secret": found.project.secret})
