"""Requests and responses about log entries."""

from typing import Any

import orjson
from rest_framework.fields import IntegerField

from logs.models import Level, LogEntry
from tracker.api.description import Content
from tracker.api.errors import InvalidField
from tracker.api.fields import INT64, Id, Text, WholeNumber
from tracker.api.serializers import RequestSerializer

PAGE = 100
LONGEST_PAGE = 1000
LONGEST_MESSAGE = 64 * 1024
LEVELS = ", ".join(f"{level.value} {level.name.lower()}" for level in Level)


class LogRequest(RequestSerializer):
    scope = Text(shortest=1, longest=1000, help_text="The part of the worker that reports it.")
    message = Text(shortest=1, longest=LONGEST_MESSAGE, also="Message")
    timestamp = WholeNumber(low=1, high=INT64[1], means="Unix seconds", help_text="Unix seconds.")


class ListLogsRequest(RequestSerializer):
    level = WholeNumber(
        low=Level.FATAL,
        high=Level.TRACE,
        default=Level.TRACE,
        means=LEVELS,
        help_text=f"This level and more severe ones: {LEVELS}.",
    )
    since = WholeNumber(
        low=0, high=INT64[1], default=0, means="Unix seconds", help_text="Unix seconds; older entries are left out."
    )
    limit = WholeNumber(low=1, high=LONGEST_PAGE, default=PAGE)
    before_timestamp = WholeNumber(
        low=1, high=INT64[1], required=False, help_text="With `before_id`, as returned by the previous page."
    )
    before_id = Id(required=False)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if (values["before_timestamp"] is None) != (values["before_id"] is None):
            raise InvalidField(
                "before_id", "must be sent with before_timestamp, both as the previous page returned them."
            )


class LogContent(Content):
    message = Text()
    timestamp = IntegerField(help_text="Unix seconds, as the worker sent them.")
    data = Text(help_text="JSON: `scope`, `worker` and `worker_alias`.")  # type: ignore[assignment]
    level = IntegerField(help_text=LEVELS)


def log_content(entry: LogEntry) -> dict[str, Any]:
    """The log entry object of the API. `data` is JSON in a string, as clients expect it."""
    data = {
        "scope": entry.scope,
        "worker": entry.worker_id,
        "worker_alias": entry.worker.alias if entry.worker else None,
    }
    return {
        "message": entry.message,
        "timestamp": entry.timestamp,
        "data": orjson.dumps(data).decode(),
        "level": entry.level,
    }
