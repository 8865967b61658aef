"""How workers look on the wire."""

from typing import Any

from tracker.api.fields import Flag, Id, Text
from tracker.api.serializers import RequestSerializer
from workers.models import Worker


class AliasRequest(RequestSerializer):
    alias = Text(longest=255, default="", required=False)


class SetPausedRequest(RequestSerializer):
    worker = Id()
    paused = Flag()


class AccessRequest(RequestSerializer):
    project = Id()
    assign = Flag(default=False)
    submit = Flag(default=False)


def worker_content(worker: Worker) -> dict[str, Any]:
    """The worker object of the API. Never the secret."""
    return {
        "id": worker.pk,
        "created": int(worker.created.timestamp()),
        "alias": worker.alias,
        "paused": worker.paused,
    }
