"""What a worker reports of a leased task."""

import json
from typing import Any

import orjson
from django.conf import settings
from rest_framework.fields import ChoiceField, JSONField, ListField

from projects.models import LONGEST_DELAY
from tasks.models import Reason
from tasks.queue import BATCH_LIMIT, Report, Result
from tasks.timing import Duration
from tracker.api.errors import InvalidField
from tracker.api.fields import Hash64, Id, LeaseId, Text, WholeNumber, WireField, WrongValue, shown
from tracker.api.items import items_of, parsed_items
from tracker.api.serializers import RequestSerializer
from tracker.api.spelling import check_spelling

RESULTS = ", ".join(f"{one.value} {one.name}" for one in Result)
# The other reasons are the tracker's own.
REASONS = {one.name.lower(): one for one in Reason if one < Reason.EXPIRED}

# Bytes in UTF-8.
LONGEST_MESSAGE = 4096
# How long a task may be said to have taken, or may be old, in seconds.
LONGEST_SECONDS = 1e9


class Message(Text):
    """Text of at most LONGEST_MESSAGE bytes in UTF-8."""

    def __init__(self, **options: Any) -> None:
        super().__init__(longest=LONGEST_MESSAGE, **options)

    def parse(self, value: Any) -> str:
        message = super().parse(value)
        if 4 * len(message) > LONGEST_MESSAGE and (size := len(message.encode())) > LONGEST_MESSAGE:
            raise WrongValue(
                f"must be at most {LONGEST_MESSAGE} bytes long in UTF-8, not {size}; send the part that tells most."
            )
        return message


class Output(WireField, JSONField):
    """Any JSON value; parsed as its text, of at most MAX_OUTPUT_BYTES bytes."""

    def parse(self, value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > settings.MAX_OUTPUT_BYTES:
            raise WrongValue(
                f"must be at most {settings.MAX_OUTPUT_BYTES} bytes long as JSON, not {len(text)}; "
                "store what is longer elsewhere, and report where."
            )
        return text.decode()


class ReasonName(WireField, ChoiceField):
    """One of REASONS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=list(REASONS), **options)

    def parse(self, value: Any) -> int:
        reason = REASONS.get(value) if type(value) is str else None
        if reason is None:
            raise WrongValue(f"must be one of {', '.join(REASONS)}, not {shown(value)}.")
        return reason.value


class ReleaseRequest(RequestSerializer):
    task_id = Id()
    result = WholeNumber(low=Result.OK, high=Result.SKIP, means=RESULTS, help_text=f"{RESULTS}.")
    verification = Hash64(default=0, help_text="A hash of the result, on which several workers may have to agree.")
    lease = LeaseId(required=False, help_text="The lease to end: the `lease` of the task from /task/get.")
    reason = ReasonName(
        required=False,
        help_text=(
            "With FAIL or SKIP, why: `error` (the default); `bad_recipe`: the task is FAILED at once; `shutdown` or "
            "`busy`: a FAIL counts as no retry; `not_for_me`: this worker is not given the task again."
        ),
    )
    message = Message(required=False, help_text=f"What happened, in at most {LONGEST_MESSAGE} bytes of UTF-8.")
    output = Output(
        required=False,
        help_text=f"The result, any JSON value of at most {settings.MAX_OUTPUT_BYTES} bytes; kept with the task.",
    )
    retry_after = Duration(
        longest=LONGEST_DELAY,
        required=False,
        help_text=(
            "With FAIL or SKIP: after how many seconds the task is leased again, at most a week; instead of the delay "
            "that the project sets."
        ),
    )
    seconds = Duration(
        longest=LONGEST_SECONDS,
        required=False,
        help_text="How long the task took; in a batch the tracker can't tell that of a single task.",
    )

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """Put what else was told into `told`."""
        told = {name: value for name in _TOLD if (value := values.pop(name)) is not None}
        if "reason" in told and values["result"] == Result.OK:
            raise InvalidField("reason", "tells why a task was not done, with FAIL (1) or SKIP (2), not with OK (0).")
        if "retry_after" in told and values["result"] == Result.OK:
            raise InvalidField("retry_after", "goes with FAIL (1) or SKIP (2), not with OK (0).")
        values["told"] = orjson.dumps(told).decode() if told else None


_TOLD = ("reason", "message", "output", "seconds", "retry_after")
_KEYS = frozenset(ReleaseRequest._known)


def parse_release(body: Any) -> Report:
    """One report. Raises BadInput."""
    report = Report(**ReleaseRequest.parse(body))
    if not body.keys() <= _KEYS:
        check_spelling(body, known=ReleaseRequest._declared_fields, newer=_TOLD, of="a report")
    return report


def parse_bulk_release(body: Any) -> list[Report]:
    """The reports of a bulk release. Raises BadInput, naming the index of the invalid item."""
    return parsed_items(parse_release, items_of(body, key="releases", most=BATCH_LIMIT))


class Reports(WireField, ListField):
    """Up to BATCH_LIMIT reports; an error names the index of the invalid item, as in a bulk call."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=ReleaseRequest(), max_length=BATCH_LIMIT, **options)

    def parse(self, value: Any) -> list[Report]:
        if type(value) is not list or len(value) > BATCH_LIMIT:
            found = f"{len(value)} of them" if type(value) is list else shown(value)
            raise WrongValue(f"must be an array of at most {BATCH_LIMIT} releases, not {found}.")
        return parsed_items(parse_release, value)
