"""Reads the request body as JSON, regardless of its Content-Type, and forms with JSON in them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from django.conf import settings
from django.http import HttpRequest

from tracker.api.errors import BadInput, Busy, TooLarge, UnsupportedMedia
from tracker.api.notjson import not_json

LARGE_PARSE_SECONDS = 10.0
_large_parse = threading.Lock()
_BLOCK = 64 * 1024


class BrokenBody(BadInput):
    """The request body ended before its announced length, came too slowly or was not properly chunked."""


class EmptyBody(dict[str, Any]):
    """What an empty body and `null` count as: an object without fields. `why` goes on from "is missing"."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.why = f": {what}, send a JSON object"


def read_json(request: HttpRequest, *, max_bytes: int) -> Any:
    """Return the parsed body as `parse_body` does. Raises BadInput, Busy, TooLarge, UnsupportedMedia."""
    return parse_body(read_bytes(request, max_bytes=max_bytes))


def parse_body(raw: bytes) -> Any:
    """Return the parsed body; an EmptyBody if it is empty or `null`. Raises BadInput and Busy."""
    if not raw.strip():
        return EmptyBody("the body is empty")
    body = parse_json(raw)
    return EmptyBody("the body is null") if body is None else body


def parse_json(raw: bytes | str) -> Any:
    """Return the parsed text. Raises BadInput, or Busy if parsing another large text takes too long."""
    with parsing(len(raw)):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise not_json(raw, error) from error


def first_field(raw: bytes) -> bytes:
    """The value of the first field of a form (application/x-www-form-urlencoded), whatever else is in it. Raises Busy.

    The others are not looked at: millions of them fit into a body.
    """
    end = raw.find(b"&")
    start = raw.find(b"=", 0, None if end == -1 else end) + 1
    value = bytearray()
    with parsing(len(raw)):
        for block in _blocks(raw[start : None if end == -1 else end]):
            value += unquote_to_bytes(block.replace(b"+", b" "))
    return bytes(value)


def _blocks(encoded: bytes) -> Iterator[bytes]:
    """The text in parts that don't cut an escape in two. Undone as a whole, each escape would be an object."""
    start = 0
    while start < len(encoded):
        end = start + _BLOCK
        # At a "%" that is one of the last two bytes, the escape goes on in the next part.
        cut = encoded.find(b"%", end - 2, end)
        end = end if cut == -1 else cut
        yield encoded[start:end]
        start = end


@contextmanager
def parsing(length: int) -> Iterator[None]:
    """While a text of this length is parsed. Raises Busy if parsing another large one takes too long.

    A process parses one large text at a time, since parsing takes many times the text's size in memory. The lock does
    not cover reading the body: a client that sends it slowly must not keep others waiting.
    """
    is_long = length > settings.MAX_BODY_BYTES
    if is_long and not _large_parse.acquire(timeout=LARGE_PARSE_SECONDS):
        raise Busy
    try:
        yield
    finally:
        if is_long:
            _large_parse.release()


def read_bytes(request: HttpRequest, *, max_bytes: int) -> bytes:
    """Return the body as it was sent. Raises BadInput, TooLarge, UnsupportedMedia."""
    if request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia
    announced = announced_bytes(request)
    if announced is not None and announced > max_bytes:
        raise _too_large(max_bytes)
    try:
        raw: bytes = _body_stream(request).read(max_bytes + 1)
    except OSError as error:
        raise BrokenBody from error
    if len(raw) > max_bytes:
        raise _too_large(max_bytes)
    if announced is not None and len(raw) < announced:
        raise BrokenBody
    return raw


def is_large(request: HttpRequest) -> bool:
    """Whether the body may exceed the limit for ordinary calls."""
    announced = announced_bytes(request)
    return announced is None or announced > settings.MAX_BODY_BYTES


def announced_bytes(request: HttpRequest) -> int | None:
    """The body's length according to Content-Length; None for a chunked body."""
    return None if _is_chunked(request) else int(request.META.get("CONTENT_LENGTH") or 0)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request body is larger than the {max_bytes} bytes allowed here; send it in parts.")


def _body_stream(request: HttpRequest) -> Any:
    # A chunked body has no length, so Django would treat it as empty; gunicorn's stream ends where the body ends.
    return request.META["wsgi.input"] if _is_chunked(request) else request


def _is_chunked(request: HttpRequest) -> bool:
    return "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
