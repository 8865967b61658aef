"""Identity of workers: the headers X-Worker-ID and X-Secret."""

import hmac
from typing import Any, ClassVar

from django.db import InterfaceError, OperationalError, connection
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tracker import db
from tracker.api.errors import NotIdentified
from tracker.api.fields import INT64
from tracker.api.views import ApiView
from workers.models import Worker
from workers.services import digest

# Compared against when there is no such worker, so that the answer takes as long as for a wrong secret.
_NO_DIGEST = bytes(32)

_ID_DIGITS = 19

FIND_WORKER = "SELECT id, alias, secret_digest, paused, created FROM workers_worker WHERE id = %(worker)s"


class UnknownWorker(NotIdentified):
    """There is no worker with this X-Worker-ID and X-Secret."""


class WorkerAuthentication(BaseAuthentication):
    """Finds the worker that the headers name; None if there are no such headers."""

    refuses: ClassVar = {"GET": {401}, "POST": {401}}

    def authenticate(self, request: Request) -> tuple[Worker, None] | None:
        number, secret = request.META.get("HTTP_X_WORKER_ID"), request.META.get("HTTP_X_SECRET")
        if number is None and secret is None:
            return None
        if number is None or secret is None:
            raise NotIdentified("Send both headers, X-Worker-ID and X-Secret.")
        return identified(number, secret), None

    def authenticate_header(self, request: Request) -> str:
        return "X-Secret"


def identified(number: str, secret: str) -> Worker:
    """The worker with this id, as the header has it, and this secret. Raises NotIdentified."""
    if not (number.isascii() and number.isdigit() and len(number) <= _ID_DIGITS and 0 < int(number) <= INT64[1]):
        raise NotIdentified("X-Worker-ID: must be the whole number that /worker/create answered as `id`.")
    row = db.one(FIND_WORKER, {"worker": int(number)})
    worker = Worker(*row) if row else None
    stored = bytes(worker.secret_digest) if worker else _NO_DIGEST
    if not hmac.compare_digest(digest(secret), stored) or worker is None:
        raise UnknownWorker
    return worker


class WorkerView(ApiView):
    """An API view for workers; `self.worker` is the one who calls."""

    authentication_classes = [WorkerAuthentication]
    worker: Worker

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Identifying the worker is the request's first query, and is tried again on a new connection where the old
        # one has died meanwhile. So the trial query that Django would send first is not needed.
        connection.health_check_done = True  # type: ignore[attr-defined]
        try:
            super().initial(request, *args, **kwargs)
        except (OperationalError, InterfaceError):
            connection.close()
            super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Worker):
            raise NotIdentified
        self.worker = request.user
