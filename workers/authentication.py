"""Authentication of workers by the headers X-Worker-ID and X-Secret."""

from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tracker.api.body import is_large
from tracker.api.errors import BadInput, NotIdentified, TooLarge, UnsupportedMedia
from tracker.api.views import ApiView
from workers.identity import Credentials, credentials, identified
from workers.models import Worker


class WorkerAuthentication(BaseAuthentication):
    """Looks up the worker that the headers name; None without these headers."""

    refuses: ClassVar = {"GET": {401}, "POST": {401}}

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        caller = credentials(request.META.get("HTTP_X_WORKER_ID"), request.META.get("HTTP_X_SECRET"))
        return None if caller is None else (identified(caller), None)

    def authenticate_header(self, request: Request) -> str:
        return "X-Secret"


class CredentialsAuthentication(WorkerAuthentication):
    """Takes the headers unchecked, for a database function that checks them itself."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        caller = credentials(request.META.get("HTTP_X_WORKER_ID"), request.META.get("HTTP_X_SECRET"))
        return None if caller is None else (caller, None)


class WorkerView(ApiView):
    """An API view for workers; `self.worker` is the calling worker."""

    authentication_classes = [WorkerAuthentication]
    worker: Worker

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Worker):
            raise NotIdentified
        self.worker = request.user


class CallerView(ApiView):
    """An API view for workers whose single round trip to the database includes the authentication.

    `self.caller` holds the credentials as sent, unchecked.
    """

    authentication_classes = [CredentialsAuthentication]
    caller: Credentials

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Credentials):
            raise NotIdentified
        self.caller = request.user
        # Read a large body only for a registered worker.
        if request.method == "POST" and is_large(request._request):
            identified(self.caller)

    def handle_exception(self, exc: Exception) -> Any:
        # Only a registered worker learns what is wrong with its request; any other client gets 401.
        if isinstance(exc, (BadInput, TooLarge, UnsupportedMedia)):
            try:
                identified(self.caller)
            except Exception as worse:
                return super().handle_exception(worse)
        return super().handle_exception(exc)
