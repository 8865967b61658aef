"""The API of logs."""

from typing import Any

from django.conf import settings
from rest_framework.fields import IntegerField
from rest_framework.request import Request

from accounts.authentication import SessionAuthentication, manager_of
from logs import calls, queries
from logs.models import Level
from logs.serializers import BULK_LIMIT, BULK_LOG, ListLogsRequest, LogContent, LogRequest, log_content
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.fields import Id
from tracker.api.views import ApiView
from workers.authentication import CallerView


class LogView(CallerView):
    """POST /log/trace, /log/info, /log/warn and /log/error; the URL gives the level."""

    handler = staticmethod(calls.log)
    level = Level.INFO

    @describe("Log a message at level {view.level.name}", body=LogRequest, errors={429: None})
    def post(self, request: Request) -> Envelope:
        return self.answer(level=self.level)


class BulkLogView(CallerView):
    """POST /log/bulk."""

    handler = staticmethod(calls.bulk_log)
    max_body_bytes = settings.MAX_BULK_BODY_BYTES

    @describe(
        "Log many messages at once",
        details=(
            f"Up to {BULK_LIMIT:,}, in the order in which they were made; all or nothing. They count towards the "
            "limits for one worker as if sent one by one: if they don't fit, the answer is 429 and none is kept. "
            "A key that is not described here is refused."
        ),
        body=BULK_LOG,
        errors={429: None},
    )
    def post(self, request: Request) -> Envelope:
        return self.answer()


class ListLogsView(ApiView):
    """POST /logs: for managers, or for everybody if LOGS_PUBLIC is on."""

    authentication_classes = [SessionAuthentication]

    @describe(
        "Log entries of workers",
        details=(
            "The last received first; a page ends early where its messages are very long. For managers, or for "
            "everybody if LOGS_PUBLIC is on."
        ),
        body=ListLogsRequest,
        content={
            "logs": LogContent(many=True),
            "before_timestamp": IntegerField(required=False, help_text="For the next page, if there may be one."),
            "before_id": Id(required=False),
        },
        errors={401: None},
    )
    def post(self, request: Request) -> Envelope:
        if not settings.LOGS_PUBLIC:
            manager_of(request)
        fields = self.parsed(ListLogsRequest)
        worker_id = fields.pop("worker")
        entries, before_id = queries.newest(**fields | {"level": Level(fields["level"]), "worker_id": worker_id})
        content: dict[str, Any] = {"logs": [log_content(entry) for entry in entries]}
        if before_id is not None:
            # Nobody needs the timestamp, but clients send both back.
            content |= {"before_timestamp": entries[-1].timestamp if entries else 1, "before_id": before_id}
        return Envelope(content)
