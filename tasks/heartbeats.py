"""Heartbeats on the wire: by which workers keep their leases."""

from collections.abc import Sequence
from typing import Any

from rest_framework.fields import ChoiceField, FloatField, ListField

from tasks.queue import BATCH_LIMIT, Extended, Heartbeat
from tasks.reports import LONGEST_SECONDS
from tasks.timing import Duration
from tracker.api.description import Content
from tracker.api.errors import BadInput
from tracker.api.fields import Id, LeaseId, WireField, WrongValue, shown
from tracker.api.items import array_or, items_of, parsed_items
from tracker.api.serializers import RequestSerializer

EXTENDED, LOST, CANCELLED = "extended", "lost", "cancelled"


class HeartbeatRequest(RequestSerializer):
    strict = True

    task_id = Id()
    lease = LeaseId(help_text="The lease to extend: the `lease` of the task from /task/get.")
    seconds = Duration(
        longest=LONGEST_SECONDS,
        required=False,
        help_text=(
            "How long the lease is to last from now, at most the project's `max_lease_seconds`; it may also end "
            "earlier than before. Without it: as long as the task is leased for, and no less than it lasts anyway."
        ),
    )


class HeartbeatContent(Content):
    task_id = Id()
    state = ChoiceField(
        [EXTENDED, LOST, CANCELLED],
        help_text=(
            "`lost`: this worker does not hold this lease, or no longer; `cancelled`: since the task was cancelled."
        ),
    )
    expires = FloatField(required=False, help_text="When the lease ends now, in Unix seconds.")


# A bulk body is described by a schema, since it may be an array; see items_of.
BULK_HEARTBEAT = array_or("heartbeats", HeartbeatRequest, BATCH_LIMIT)


def parse_heartbeat(body: Any) -> Heartbeat:
    """One heartbeat. Raises BadInput."""
    return Heartbeat(**HeartbeatRequest.parse(body))


def parse_heartbeats(body: Any) -> list[Heartbeat]:
    """The heartbeats of a call. Raises BadInput, naming the index of the invalid item."""
    return parsed_items(parse_heartbeat, items_of(body, key="heartbeats", most=BATCH_LIMIT, strict=True))


class Heartbeats(WireField, ListField):
    """Up to BATCH_LIMIT heartbeats of an exchange."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=HeartbeatRequest(), max_length=BATCH_LIMIT, **options)

    def parse(self, value: Any) -> list[Heartbeat]:
        if type(value) is not list or len(value) > BATCH_LIMIT:
            found = f"{len(value)} of them" if type(value) is list else shown(value)
            raise WrongValue(f"must be an array of at most {BATCH_LIMIT} heartbeats, not {found}.")
        try:
            return parsed_items(parse_heartbeat, value)
        except BadInput as error:
            # Without the field, it might be an item of the releases.
            raise WrongValue(f"i{str(error)[1:]}") from error


def heartbeats_content(heartbeats: Sequence[Heartbeat], extended: Sequence[Extended]) -> list[dict[str, Any]]:
    """What became of each heartbeat."""
    return [_content(sent, one) for sent, one in zip(heartbeats, extended, strict=True)]


def _content(sent: Heartbeat, one: Extended) -> dict[str, Any]:
    if one.expires is None:
        return {"task_id": sent.task_id, "state": CANCELLED if one.cancelled else LOST}
    return {"task_id": sent.task_id, "state": EXTENDED, "expires": one.expires}
