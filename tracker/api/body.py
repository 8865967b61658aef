"""Reading a request's body as JSON, whatever its Content-Type says."""

from typing import Any

import orjson
from django.http import HttpRequest

from tracker.api.errors import BadInput, TooLarge, UnsupportedMedia


def read_json(request: HttpRequest, *, max_bytes: int) -> Any:
    """The parsed body; `{}` for an empty one or `null`. Raises BadInput, TooLarge, UnsupportedMedia."""
    raw = _read_bytes(request, max_bytes)
    if not raw.strip():
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"The body is not JSON: {error}.") from error
    return {} if body is None else body


def _read_bytes(request: HttpRequest, max_bytes: int) -> bytes:
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedMedia
    # A chunked body has no length, and Django would take it for an empty one; gunicorn ends its stream properly.
    chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    stream = request.META["wsgi.input"] if chunked else request
    if not chunked and int(request.META.get("CONTENT_LENGTH") or 0) > max_bytes:
        raise _too_large(max_bytes)
    raw: bytes = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise _too_large(max_bytes)
    return raw


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request body is larger than the {max_bytes} bytes allowed here; send it in parts.")
