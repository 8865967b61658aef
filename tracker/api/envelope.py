"""The envelope of all JSON responses."""

from typing import Any

import orjson
from django.http import HttpResponse


class Envelope(HttpResponse):
    """`{"ok": bool, "message": str?, "rate_limit_delay": float?, "content": {…}?}`.

    Serialized here and not by DRF's renderers: there is only one format, and 64-bit integers must stay exact.
    """

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
        body: dict[str, Any] = {"ok": ok}
        if message is not None:
            body["message"] = message
        if rate_limit_delay is not None:
            body["rate_limit_delay"] = rate_limit_delay
        if content is not None:
            body["content"] = content
        super().__init__(
            orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
            content_type="application/json",
            status=status,
            headers=headers,
        )
