"""The errors that a client sees, and the exception handler that turns them into responses."""

import logging
import math
from typing import Any

from django.core import exceptions as django_errors
from django.http import Http404, HttpResponse
from rest_framework import exceptions as drf

from tracker import db
from tracker.api.envelope import Envelope, Reply

logger = logging.getLogger("tracker.api")


class ApiError(Exception):
    """The request can't be answered."""

    status = 500

    def __init__(
        self,
        message: str | None = None,
        *,
        content: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message or self.__doc__)
        self.content = content
        self.headers = headers or {}

    def reply(self) -> Reply:
        """The response that reports this error."""
        return Reply(self.content, ok=False, message=str(self), status=self.status, headers=self.headers)

    def answer(self) -> Envelope:
        """The same for Django."""
        return Envelope(reply=self.reply())


class BadInput(ApiError):
    """The request is malformed."""

    status = 400


class InvalidField(BadInput):
    """A field is missing, of the wrong type or out of range. The message begins with its name."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class NotIdentified(ApiError):
    """Send the headers X-Worker-ID and X-Secret of a registered worker."""

    status = 401


class Forbidden(ApiError):
    """You are not allowed to do this."""

    status = 403


class NotFound(ApiError):
    """There is no such thing."""

    status = 404


class Conflict(ApiError):
    """This conflicts with existing data."""

    status = 409


class TooLarge(ApiError):
    """The request body is too large."""

    status = 413


class UnsupportedMedia(ApiError):
    """Send the body as plain JSON, without a Content-Encoding."""

    status = 415


class RateLimited(ApiError):
    """Too many requests; wait for rate_limit_delay seconds."""

    status = 429

    def __init__(self, *, delay: float, message: str | None = None) -> None:
        super().__init__(message, headers={"Retry-After": str(math.ceil(delay))})
        self.delay = delay

    def reply(self) -> Reply:
        return Reply(ok=False, message=str(self), rate_limit_delay=self.delay, status=self.status, headers=self.headers)


class Busy(ApiError):
    """The tracker is too busy for this at the moment; try again."""

    status = 503

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class DatabaseAway(Busy):
    """The database does not answer at the moment; try again."""


def answer_for(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's exception handler: turn every exception of an API view into an envelope, and log unexpected ones."""
    request = context["request"]
    match error:
        case Http404():
            return NotFound().answer()
        case drf.MethodNotAllowed():
            allowed = context["view"].allowed_methods
            named = [method for method in allowed if method != "HEAD"]
            answer = Envelope(
                ok=False,
                message=f"{request.method} is not allowed here; use {' or '.join(named)}.",
                status=405,
                headers={"Allow": ", ".join(allowed)},
            )
            if request.method == "HEAD":
                answer.content = b""
            return answer
        case drf.APIException() if error.status_code < 500:
            return Envelope(ok=False, message=str(error.detail), status=error.status_code)
        case django_errors.PermissionDenied():
            return Forbidden().answer()
        case django_errors.SuspiciousOperation():
            return BadInput(str(error)).answer()
    return Envelope(reply=reply_for(error, f"{request.method} {request.path}"))


def reply_for(error: Exception, request: str) -> Reply:
    """The reply to an exception of a call. Unexpected ones are logged, with what was requested."""
    if isinstance(error, ApiError):
        return error.reply()
    if db.is_away(error):
        return database_away(error).reply()
    logger.error("Unexpected error in %s", request, exc_info=error)
    return unforeseen().reply()


def database_away(error: BaseException) -> DatabaseAway:
    """What a client is told when the database is away; logs why."""
    logger.warning("The database did not answer: %s", str(error).strip().split("\n")[0])
    return DatabaseAway()


def unforeseen() -> ApiError:
    """What a client is told about an internal error."""
    return ApiError("Something went wrong here; the operator finds it in the log.")
