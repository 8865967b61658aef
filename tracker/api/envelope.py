"""The envelope of all JSON responses."""

from typing import Any

import orjson
from django.http import HttpResponse

#: What every response has. Answers are about one caller at one moment: no cache between may keep them.
HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
}


class Reply:
    """A response, apart from who sends it.

    `body` is `{"ok": bool, "message": str?, "rate_limit_delay": float?, "content": {…}?}` as JSON, and `headers` are
    those beside HEADERS. Serialized here and not by DRF's renderers: there is only one format, and 64-bit integers must
    stay exact.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        content: dict[str, Any] | None = None,
        *,
        ok: bool = True,
        message: str | None = None,
        rate_limit_delay: float | None = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        envelope: dict[str, Any] = {"ok": ok}
        if message is not None:
            envelope["message"] = message
        if rate_limit_delay is not None:
            envelope["rate_limit_delay"] = rate_limit_delay
        if content is not None:
            envelope["content"] = content
        self.body = orjson.dumps(envelope, option=orjson.OPT_APPEND_NEWLINE)
        self.status = status
        self.headers = headers or {}


class Envelope(HttpResponse):
    """A reply as Django's response."""

    def __init__(self, content: dict[str, Any] | None = None, *, reply: Reply | None = None, **options: Any) -> None:
        """Takes the arguments of Reply, or a `reply`."""
        reply = reply or Reply(content, **options)
        super().__init__(reply.body, status=reply.status, headers={**HEADERS, **reply.headers})
