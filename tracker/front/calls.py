"""The calls of workers that the event loop answers itself: without a thread, and without a Django request."""

from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import Resolver404, get_resolver

from tracker.api.envelope import Envelope
from tracker.api.errors import answer_for
from tracker.front.bridge import Disconnected, Receive, Send
from tracker.front.database import Database
from workers.authentication import CallerView
from workers.calls import Call, answer

_ADDRESSES = "tracker.worker_urls"

# Larger bodies go to the pool of threads: parsing one would keep all other clients of this process waiting.
LARGEST_BODY = 64 * 1024
LONGEST_QUERY = 1024


class Route(NamedTuple):
    """What answers an address: the view whose call it is, and the arguments that stand in the address."""

    view: type[CallerView]
    arguments: dict[str, Any]


class Heads(NamedTuple):
    """The headers that a worker's call may have. None for absent ones, as in WSGI's environment."""

    worker_id: str | None = None
    secret: str | None = None
    host: str = ""
    length: int = 0


class WorkerCalls:
    """Answers those calls with the loop's database connections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> bool:
        """Answer the request if it is one of these calls. Returns False, with nothing received, if it is not."""
        found = route(scope["method"], scope["path"])
        if found is None or len(scope["query_string"]) > LONGEST_QUERY:
            return False
        heads = _heads(scope["headers"])
        if heads is None or heads.length > found.view.max_body_bytes or not is_ours(heads.host):
            return False
        body = b""
        if heads.length:
            try:
                body = await _received(receive)
            except Disconnected:
                return True
        call = Call(
            worker_id=heads.worker_id,
            secret=heads.secret,
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            read=lambda most: body,
            is_large=False,
            max_body_bytes=found.view.max_body_bytes,
        )
        try:
            envelope = await self._database.run(answer(found.view.handler, call, **found.arguments))
        except Exception as error:
            request = SimpleNamespace(method=scope["method"], path=scope["path"])
            envelope = answer_for(error, {"request": request, "view": None})  # type: ignore[assignment]
        await respond(envelope, send)
        return True


@lru_cache(maxsize=4096)
def route(method: str, path: str) -> Route | None:
    """The call that an address is for; None for all that Django answers, wrong addresses and methods included."""
    try:
        match = get_resolver(_ADDRESSES).resolve(path)
    except Resolver404:
        return None
    view: Any = getattr(match.func, "view_class", None)
    if not (isinstance(view, type) and issubclass(view, CallerView) and hasattr(view, method.lower())):
        return None
    return Route(view, match.kwargs)


@lru_cache(maxsize=256)
def is_ours(host: str) -> bool:
    """Whether ALLOWED_HOSTS has this Host header."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _heads(headers: list[tuple[bytes, bytes]]) -> Heads | None:
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
            case b"transfer-encoding" | b"content-encoding":
                return None
    is_large = length > min(LARGEST_BODY, settings.MAX_BODY_BYTES)
    return None if is_large else Heads(worker_id, secret, host, length)


async def _received(receive: Receive) -> bytes:
    """The body, which has an announced length that is not too large. Raises Disconnected."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def respond(envelope: Envelope, send: Send) -> None:
    """Send an envelope with what Django's middleware would add to it."""
    content = envelope.content
    headers = [(name.lower().encode(), value.encode()) for name, value in envelope.items()]
    headers += [(b"content-length", b"%d" % len(content)), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": envelope.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
