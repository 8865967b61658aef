"""The calls of workers, apart from where they come in.

A call is written once, as steps. Its view hands it a Call made of Django's request; the event loop, one made of what it
has received.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from tracker.api.body import parse_body
from tracker.api.envelope import Reply
from tracker.api.errors import BadInput, NotIdentified, TooLarge, UnsupportedMedia
from tracker.api.serializers import RequestSerializer
from tracker.steps import Steps
from workers.identity import Credentials, credentials, identified

#: The header of a call that may be repeated.
IDEMPOTENCY_KEY = "Idempotency-Key"


class Call:
    """A worker's call: who it says it is, and what it sent.

    `read` gives the body, of which it takes no more than so many bytes; it raises TooLarge, UnsupportedMedia, BadInput.
    `is_large` says that the body may be larger than what ordinary calls send; `waits`, that the call can wait where it
    comes in. `idempotency_key` is the header of this name, unchecked; with one, `target` is the method and the address.
    """

    def __init__(
        self,
        *,
        worker_id: str | None,
        secret: str | None,
        query: Mapping[str, str],
        read: Callable[[int], bytes],
        is_large: bool,
        max_body_bytes: int,
        waits: bool = True,
        idempotency_key: str | None = None,
        target: str = "",
    ) -> None:
        self._worker_id, self._secret, self._query, self._read = worker_id, secret, query, read
        self._max_body_bytes = max_body_bytes
        self.is_large = is_large
        self.waits = waits
        self.idempotency_key, self._target = idempotency_key, target
        self._body: bytes | None = None
        self.caller: Credentials

    def identify(self) -> None:
        """Set `caller` by what the headers say. Raises NotIdentified."""
        caller = credentials(self._worker_id, self._secret)
        if caller is None:
            raise NotIdentified
        self.caller = caller

    def json(self) -> Any:
        """The body, parsed. Raises BadInput, TooLarge, UnsupportedMedia."""
        if self.idempotency_key is None:
            return parse_body(self._read(self._max_body_bytes))
        if self._body is None:
            self._body = self._read(self._max_body_bytes)
        return parse_body(self._body)

    def fingerprint(self) -> bytes:
        """What tells requests with the same key apart: a hash of method, address and the body that was read."""
        return hashlib.sha256(b"%s\n%s" % (self._target.encode(), self._body or b"")).digest()

    def query(self, serializer: type[RequestSerializer]) -> dict[str, Any]:
        """The query string, checked against a declaration of whole numbers; not to be changed. Raises BadInput."""
        return _parsed_query(serializer, tuple(self._query.items()))


@lru_cache(maxsize=1024)
def _parsed_query(serializer: type[RequestSerializer], parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return serializer.parse_query(dict(parameters))


Handler = Callable[..., Steps[Reply]]


def answer(handler: Handler, call: Call, **arguments: Any) -> Steps[Reply]:
    """Identify the caller and handle its call.

    Handlers leave it to their statement to find out who calls, in the same round trip. But a large body is not read for
    a stranger, and what is wrong with a request is told to nobody but a worker.
    """
    call.identify()
    if call.is_large:
        yield from identified.steps(call.caller)
    try:
        return (yield from handler(call, **arguments))
    except (BadInput, TooLarge, UnsupportedMedia):
        yield from identified.steps(call.caller)
        raise
