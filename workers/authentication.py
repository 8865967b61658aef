"""How views learn which worker calls."""

from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tracker.api.body import is_large
from tracker.api.errors import BadInput, NotIdentified, TooLarge, UnsupportedMedia
from tracker.api.views import ApiView
from workers.identity import Credentials, credentials, identified
from workers.models import Worker


class WorkerAuthentication(BaseAuthentication):
    """Finds the worker that the headers name; None if there are no such headers."""

    refuses: ClassVar = {"GET": {401}, "POST": {401}}

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        caller = credentials(request.META.get("HTTP_X_WORKER_ID"), request.META.get("HTTP_X_SECRET"))
        return None if caller is None else (identified(caller), None)

    def authenticate_header(self, request: Request) -> str:
        return "X-Secret"


class CredentialsAuthentication(WorkerAuthentication):
    """Takes the headers as they are, for a function of the database that finds out itself who calls."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        caller = credentials(request.META.get("HTTP_X_WORKER_ID"), request.META.get("HTTP_X_SECRET"))
        return None if caller is None else (caller, None)


class WorkerView(ApiView):
    """An API view for workers; `self.worker` is the one who calls."""

    authentication_classes = [WorkerAuthentication]
    worker: Worker

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Worker):
            raise NotIdentified
        self.worker = request.user


class CallerView(ApiView):
    """An API view for workers whose one round trip to the database includes finding out who calls.

    `self.caller` is who it says it is.
    """

    authentication_classes = [CredentialsAuthentication]
    caller: Credentials

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Credentials):
            raise NotIdentified
        self.caller = request.user
        # A large body is not read for just anybody.
        if request.method == "POST" and is_large(request._request):
            identified(self.caller)

    def handle_exception(self, exc: Exception) -> Any:
        # What is wrong with a request is told to nobody but a worker.
        if isinstance(exc, (BadInput, TooLarge, UnsupportedMedia)):
            try:
                identified(self.caller)
            except Exception as worse:
                return super().handle_exception(worse)
        return super().handle_exception(exc)
