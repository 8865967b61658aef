"""The API client of the tests. It checks every response against the envelope and /api/schema."""

from typing import Any

import orjson
from django.http import HttpResponse
from django.test import Client
from django.utils.datastructures import CaseInsensitiveMapping

from tests.contract import check_described
from tracker import steps
from tracker.api.envelope import Reply
from tracker.front.calls import WorkerCalls
from tracker.front.cycle import encoded
from tracker.front.database import Ended
from tracker.steps import Steps
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
        assert response["Cache-Control"] == "no-store"
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
        return Answer(self._send("GET", path, b"", _identity(worker) | (headers or {}), ""))

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
        return Answer(self._send("POST", path, raw, sent, content_type))

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str], content_type: str) -> Any:
        if method == "GET":
            return self.client.get(path, headers=headers)
        return self.client.generic("POST", path, body, content_type=content_type, headers=headers)


class LoopApi(Api):
    """The same through the event loop's door: workers' calls are answered there, others by Django.

    Statements run on Django's connection, since the loop's own ones would not see what a test has not committed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls = WorkerCalls(run_here)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str], content_type: str) -> Any:
        sent = {"Host": "testserver", "Content-Length": str(len(body))} | headers
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()]
        size = sum(len(name) + len(value) for name, value in fields)
        found = self.calls.find(method.encode(), path.encode(), fields, size)
        if found is None:
            return super()._send(method, path, body, headers, content_type)
        replies: list[Reply] = []
        self.calls.answer(found, body, replies.append)
        (reply,) = replies
        head, _, content = encoded(reply, b"", keep_alive=True).partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        response = HttpResponse(content, status=int(status.split()[1]))
        response.headers = CaseInsensitiveMapping(dict(line.split(": ", 1) for line in lines))
        response.request = {"REQUEST_METHOD": method, "PATH_INFO": path.partition("?")[0]}
        return response


def run_here(work: Steps[Any], ended: Ended) -> None:
    """Run steps on Django's connection, here and now."""
    try:
        value = steps.run(work)
    except Exception as error:
        ended(None, error)
    else:
        ended(value, None)


def _identity(worker: Registration | None) -> dict[str, str]:
    return {} if worker is None else {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}
