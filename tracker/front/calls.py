"""The calls of workers that the event loop answers itself: without a thread, and without a Django request."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import httptools
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import Resolver404, get_resolver

from tracker.api.converters import WrongId
from tracker.api.envelope import Reply
from tracker.api.errors import reply_for
from tracker.front.database import Ended, Run
from tracker.steps import Steps
from workers.authentication import CallerView
from workers.calls import IDEMPOTENCY_KEY, Call, answer

_ADDRESSES = "tracker.worker_urls"

# Larger bodies go to the pool of threads: parsing one would keep all other clients of this process waiting.
LARGEST_BODY = 64 * 1024
LONGEST_ADDRESS = 1024
LONGEST_HOST = 255
REMEMBERED_BYTES = 2048

Headers = list[tuple[bytes, bytes]]

_KEY = IDEMPOTENCY_KEY.lower().encode()


class Route(NamedTuple):
    """What answers an address: the view whose call it is, the arguments that stand in the path, and the query."""

    view: type[CallerView]
    arguments: dict[str, Any]
    query: dict[str, str]


class Heads(NamedTuple):
    """The headers that a worker's call may have. None for absent ones, as in WSGI's environment."""

    worker_id: str | None = None
    secret: str | None = None
    host: str = ""
    length: int = 0


class Found(NamedTuple):
    """A request that is one of these calls, with its headers; its body may still be on its way."""

    method: bytes
    address: bytes
    route: Route
    heads: Heads
    idempotency_key: str | None = None


class WorkerCalls:
    """Answers those calls. `run` runs their steps, as Database.run does."""

    def __init__(self, run: Callable[[Steps[Any], Ended], Run | None]) -> None:
        self._run = run

    def find(self, method: bytes, address: bytes, headers: Headers, size: int) -> Found | None:
        """The call that a request is; None for all that Django answers. `size` is that of the headers in bytes."""
        if len(address) > LONGEST_ADDRESS:
            return None
        key = None
        for name, value in headers:
            if name == _KEY:
                # Apart from the others: it is another one with each request.
                key = value.decode("latin-1") if key is None else f"{key},{value.decode('latin-1')}"
        kept = headers if key is None else [one for one in headers if one[0] != _KEY]
        # A worker sends the same heads over and over. Larger ones are not remembered: they might fill the memory.
        found = (_remembered if size <= REMEMBERED_BYTES else _found)(method, address, tuple(kept))
        if found is None or len(found.heads.host) > LONGEST_HOST or not is_ours(found.heads.host):
            return None
        length = found.heads.length
        if length and length > min(LARGEST_BODY, settings.MAX_BODY_BYTES, found.route.view.max_body_bytes):
            return None
        return found if key is None else found._replace(idempotency_key=key)

    def answer(self, found: Found, body: bytes, done: Callable[[Reply], None]) -> Run | None:
        """Answer a call whose body is there; `done` is called once, perhaps before this returns."""
        view, arguments, query = found.route
        call = Call(
            worker_id=found.heads.worker_id,
            secret=found.heads.secret,
            query=query,
            read=lambda most: body,
            is_large=False,
            max_body_bytes=view.max_body_bytes,
            idempotency_key=found.idempotency_key,
            target="" if found.idempotency_key is None else target(found.method, found.address),
        )

        def ended(reply: Reply | None, error: Exception | None) -> None:
            if error is not None or reply is None:
                request = b"%s %s" % (found.method, found.address)
                reply = reply_for(error or RuntimeError("No reply"), request.decode("latin-1"))
            done(reply)

        return self._run(answer(view.handler, call, **arguments), ended)


def _found(method: bytes, address: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> Found | None:
    found, heads = route(method, address), _heads(headers)
    return None if found is None or heads is None else Found(method, address, found, heads)


_remembered = lru_cache(maxsize=2048)(_found)


def target(method: bytes, address: bytes) -> str:
    """Method and address as `CallerView` writes them."""
    url = httptools.parse_url(address)
    path, query = unquote(url.path.decode("ascii")), (url.query or b"").decode("latin-1")
    return f"{method.decode()} {path}?{query}"


@lru_cache(maxsize=4096)
def route(method: bytes, address: bytes) -> Route | None:
    """The call that an address is for; None for all that Django answers, wrong addresses and methods included."""
    try:
        url = httptools.parse_url(address)
        path, query = unquote(url.path.decode("ascii")), (url.query or b"").decode("latin-1")
        match = get_resolver(_ADDRESSES).resolve(path)
    except (httptools.HttpParserError, UnicodeDecodeError, Resolver404):
        return None
    view: Any = getattr(match.func, "view_class", None)
    if not (isinstance(view, type) and issubclass(view, CallerView) and hasattr(view, method.decode().lower())):
        return None
    if any(isinstance(value, WrongId) for value in match.kwargs.values()):
        return None
    arguments = match.kwargs | match.func.view_initkwargs  # type: ignore[attr-defined]
    return Route(view, arguments, dict(parse_qsl(query, keep_blank_values=True)))


@lru_cache(maxsize=256)
def is_ours(host: str) -> bool:
    """Whether ALLOWED_HOSTS has this Host header."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _heads(headers: Iterable[tuple[bytes, bytes]]) -> Heads | None:
    """The headers that matter; None where Django has to look at the request."""
    worker_id = secret = None
    host, length = "", 0
    for name, value in headers:
        match name:
            case b"x-worker-id":
                worker_id = value.decode("latin-1") if worker_id is None else f"{worker_id},{value.decode('latin-1')}"
            case b"x-secret":
                secret = value.decode("latin-1") if secret is None else f"{secret},{value.decode('latin-1')}"
            case b"host":
                host = value.decode("latin-1")
            case b"content-length":
                length = int(value)
            case b"transfer-encoding" | b"content-encoding" | b"expect":
                return None
    return Heads(worker_id, secret, host, length)
