"""The API client of the tests. It checks every response against the envelope and /api/schema."""

from typing import Any

import orjson
from django.test import Client

from tests.contract import check_described
from workers.services import Registration

ENVELOPE_KEYS = {"ok", "message", "rate_limit_delay", "content"}
NO_BODY = object()


class Answer:
    """A response of the API. `json` is its envelope, which has been checked."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        assert response["Content-Type"] == "application/json", response.content
        self.json = orjson.loads(response.content)
        check_envelope(self.json)
        request = response.request
        check_described(request["REQUEST_METHOD"], request["PATH_INFO"], self.status, self.json)

    @property
    def ok(self) -> bool:
        return self.json["ok"]

    @property
    def message(self) -> str:
        return self.json["message"]

    @property
    def content(self) -> dict[str, Any]:
        return self.json["content"]

    def __repr__(self) -> str:
        return f"<{self.status} {self.json}>"


def check_envelope(body: Any) -> None:
    assert isinstance(body, dict)
    assert set(body) <= ENVELOPE_KEYS
    assert type(body["ok"]) is bool
    if not body["ok"]:
        assert body["message"]
    assert isinstance(body.get("message", ""), str)
    assert isinstance(body.get("rate_limit_delay", 0.0), float)
    assert isinstance(body.get("content", {}), dict)


class Api:
    """Sends bodies as `curl -d` does: JSON with the content type of a form."""

    def __init__(self, *, raise_request_exception: bool = True, address: str = "127.0.0.1") -> None:
        self.client = Client(raise_request_exception=raise_request_exception, REMOTE_ADDR=address)

    def login(self, user: Any) -> "Api":
        self.client.force_login(user)
        return self

    def get(self, path: str, *, worker: Registration | None = None, headers: dict[str, str] | None = None) -> Answer:
        return Answer(self.client.get(path, headers=_identity(worker) | (headers or {})))

    def post(
        self,
        path: str,
        body: Any = NO_BODY,
        *,
        worker: Registration | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "application/x-www-form-urlencoded",
    ) -> Answer:
        """`body` is sent unchanged if it is bytes, else as JSON."""
        raw = b"" if body is NO_BODY else body if isinstance(body, bytes) else orjson.dumps(body)
        sent = _identity(worker) | (headers or {})
        return Answer(self.client.generic("POST", path, raw, content_type=content_type, headers=sent))


def _identity(worker: Registration | None) -> dict[str, str]:
    return {} if worker is None else {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}
