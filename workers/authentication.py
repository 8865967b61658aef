"""Authentication of workers by the headers X-Worker-ID and X-Secret."""

from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.authentication import SessionAuthentication
from accounts.models import User
from tracker.api.body import is_large, read_bytes
from tracker.api.envelope import Envelope
from tracker.api.errors import NotIdentified
from tracker.api.views import ApiView
from tracker.steps import run
from workers.calls import Call, Handler, answer
from workers.identity import credentials, identified
from workers.models import Worker


class WorkerAuthentication(BaseAuthentication):
    """Looks up the worker that the headers name; None without these headers."""

    refuses: ClassVar = {"GET": {401}, "POST": {401}}

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        caller = credentials(request.META.get("HTTP_X_WORKER_ID"), request.META.get("HTTP_X_SECRET"))
        return None if caller is None else (identified(caller), None)

    def authenticate_header(self, request: Request) -> str:
        return "X-Secret"


class WorkerView(ApiView):
    """An API view for workers; `self.worker` is the calling worker."""

    authentication_classes = [WorkerAuthentication]
    worker: Worker

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Worker):
            raise NotIdentified
        self.worker = request.user


class ReaderView(ApiView):
    """An API view for workers and for managers."""

    authentication_classes = [WorkerAuthentication, SessionAuthentication]

    def reader(self, request: Request) -> Worker | User:
        """Who calls. Raises NotIdentified."""
        if isinstance(request.user, (Worker, User)):
            return request.user
        raise NotIdentified("Send the headers X-Worker-ID and X-Secret of a worker, or log in as a manager.")


class CallerView(ApiView):
    """An API view for a call as in `workers.calls`, which the event loop may answer as well."""

    # No HEAD: it would lease a task.
    http_method_names = ["get", "post"]

    # Who calls is found out by the call itself; here it only describes that it is a worker.
    authentication_classes = [WorkerAuthentication]

    handler: Handler

    def perform_authentication(self, request: Request) -> None:
        """Left to the call."""

    def answer(self, **arguments: Any) -> Envelope:
        """Handle the call, with Django's connection."""
        request = self.request._request
        call = Call(
            worker_id=request.META.get("HTTP_X_WORKER_ID"),
            secret=request.META.get("HTTP_X_SECRET"),
            query=request.GET.dict(),
            read=lambda most: read_bytes(request, max_bytes=most),
            is_large=request.method == "POST" and is_large(request),
            max_body_bytes=self.max_body_bytes,
            waits=False,
            idempotency_key=request.META.get("HTTP_IDEMPOTENCY_KEY"),
            target=f"{request.method} {request.path_info}?{request.META.get('QUERY_STRING', '')}",
        )
        return Envelope(reply=run(answer(self.handler, call, **arguments)))
