"""Reading a request's body as JSON, whatever its Content-Type says."""

import threading
from collections.abc import Callable
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from gunicorn.http.errors import ParseException

from tracker.api import patience
from tracker.api.errors import BadInput, Busy, TooLarge, UnsupportedMedia

# How long a client may take to send its body: so long, and for every so many bytes a second more.
PATIENCE_SECONDS = 10.0
SLOWEST_BYTES_PER_SECOND = 50_000
DRAIN_SECONDS = 1.0

LARGE_PARSE_SECONDS = 10.0
_large_parse = threading.Lock()


class BrokenBody(BadInput):
    """The request body ended before its announced length, came too slowly or was not properly chunked."""


def read_json(request: HttpRequest, *, max_bytes: int) -> Any:
    """The parsed body; `{}` for an empty one or `null`. Raises BadInput, TooLarge, UnsupportedMedia."""
    raw = read_bytes(request, max_bytes=max_bytes)
    body = parse_json(raw) if raw.strip() else None
    return {} if body is None else body


def parse_json(raw: bytes | str) -> Any:
    """The parsed text. Raises BadInput, and Busy where another large one takes too long.

    Large ones one at a time in a process, since parsing takes many times the text's size. Only the parsing: a client
    that sends its body slowly must not keep the others waiting.
    """
    is_long = len(raw) > settings.MAX_BODY_BYTES
    if is_long and not _large_parse.acquire(timeout=LARGE_PARSE_SECONDS):
        raise Busy
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"The body is not JSON: {error}.") from error
    finally:
        if is_long:
            _large_parse.release()


def read_bytes(request: HttpRequest, *, max_bytes: int) -> bytes:
    """The body as it was sent. Raises BadInput, TooLarge, UnsupportedMedia."""
    if request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia
    announced = announced_bytes(request)
    if announced is not None and announced > max_bytes:
        raise _too_large(max_bytes)
    try:
        with patience.limit(request, seconds=PATIENCE_SECONDS + (announced or max_bytes) / SLOWEST_BYTES_PER_SECOND):
            raw: bytes = _body_stream(request).read(max_bytes + 1)
    except (OSError, ParseException) as error:
        raise BrokenBody from error
    if len(raw) > max_bytes:
        raise _too_large(max_bytes)
    if announced is not None and len(raw) < announced:
        raise BrokenBody
    return raw


def is_large(request: HttpRequest) -> bool:
    """Whether the body may be larger than what ordinary calls send."""
    announced = announced_bytes(request)
    return announced is None or announced > settings.MAX_BODY_BYTES


def announced_bytes(request: HttpRequest) -> int | None:
    """The length of the body as the client announced it; None for a chunked one."""
    return None if _is_chunked(request) else int(request.META.get("CONTENT_LENGTH") or 0)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request body is larger than the {max_bytes} bytes allowed here; send it in parts.")


def drain_refused_bodies(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: after a refusal, read what the client is still sending, if that is little and comes at once.

    A server that closes the connection over unread data resets it, and the client never sees why it was refused.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code >= 400 and request.method == "POST":
            _drain(request)
        return response

    return middleware


def _drain(request: HttpRequest) -> None:
    left = settings.MAX_BODY_BYTES
    if (announced_bytes(request) or 0) > left:
        return
    try:
        with patience.limit(request, seconds=DRAIN_SECONDS):
            while left > 0 and (part := _body_stream(request).read(_PART_BYTES)):
                left -= len(part)
    except (OSError, ParseException):
        pass


_PART_BYTES = 64 * 1024


def _body_stream(request: HttpRequest) -> Any:
    # A chunked body has no length, and Django would take it for an empty one; gunicorn ends its stream properly.
    return request.META["wsgi.input"] if _is_chunked(request) else request


def _is_chunked(request: HttpRequest) -> bool:
    return "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
