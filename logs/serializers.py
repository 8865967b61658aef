"""Requests and responses about log entries."""

from typing import Any

import orjson
from rest_framework.fields import ChoiceField, IntegerField

from logs.models import Level, LogEntry
from logs.services import NewEntry
from tracker.api.description import Content
from tracker.api.errors import InvalidField
from tracker.api.fields import INT64, Id, Text, WholeNumber, WireField, WrongValue, shown
from tracker.api.items import array_or, items_of, parsed_items
from tracker.api.serializers import RequestSerializer

PAGE = 100
LONGEST_PAGE = 1000
LONGEST_MESSAGE = 64 * 1024
LEVELS = ", ".join(f"{level.value} {level.name.lower()}" for level in Level)
BULK_LIMIT = 1000
# The levels that workers use, by their names in the paths of calls.
REPORTED = {level.name.lower(): level for level in (Level.TRACE, Level.INFO, Level.WARN, Level.ERROR)}


class LogRequest(RequestSerializer):
    scope = Text(shortest=1, longest=1000, help_text="The part of the worker that reports it.")
    message = Text(shortest=1, longest=LONGEST_MESSAGE, also="Message")
    timestamp = WholeNumber(low=1, high=INT64[1], means="Unix seconds", help_text="Unix seconds.")
    task_id = Id(required=False, help_text="The task that it is about; its page shows the entry.")


class LevelName(WireField, ChoiceField):
    """One of the levels that workers use, parsed as a Level."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=list(REPORTED), **options)

    def parse(self, value: Any) -> Level:
        level = REPORTED.get(value) if type(value) is str else None
        if level is None:
            raise WrongValue(f"must be one of {', '.join(REPORTED)}, not {shown(value)}.")
        return level


class LogEntryRequest(LogRequest):
    """An entry of /log/bulk."""

    strict = True

    level = LevelName(help_text="How severe it is.")


BULK_LOG = array_or("entries", LogEntryRequest, BULK_LIMIT)


def parse_log(body: Any, level: Level) -> NewEntry:
    """An entry that is sent alone; its level is in the path. Raises BadInput."""
    return NewEntry(level=level, **LogRequest.parse(body))


def parse_bulk_log(body: Any) -> list[NewEntry]:
    """The entries of a bulk call. Raises BadInput, naming the index of the invalid item."""
    return parsed_items(
        lambda item: NewEntry(**LogEntryRequest.parse(item)),
        items_of(body, key="entries", most=BULK_LIMIT, strict=True),
    )


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
    task_id = Id(required=False, help_text="Only entries about this task.")
    worker = Id(required=False, help_text="Only entries of this worker.")

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if (values["before_timestamp"] is None) != (values["before_id"] is None):
            raise InvalidField(
                "before_id", "must be sent with before_timestamp, both as the previous page returned them."
            )


class LogContent(Content):
    message = Text()
    timestamp = IntegerField(help_text="Unix seconds, as the worker sent them.")
    data = Text(help_text="JSON: `scope`, `worker`, `worker_alias` and, where it was sent, `task_id`.")  # type: ignore[assignment]
    level = IntegerField(help_text=LEVELS)


def log_content(entry: LogEntry) -> dict[str, Any]:
    """The log entry object of the API. `data` is JSON in a string, as clients expect it."""
    data = {
        "scope": entry.scope,
        "worker": entry.worker_id,
        "worker_alias": entry.worker.alias if entry.worker else None,
    }
    if entry.task_id is not None:
        data["task_id"] = entry.task_id
    return {
        "message": entry.message,
        "timestamp": entry.timestamp,
        "data": orjson.dumps(data).decode(),
        "level": entry.level,
    }
