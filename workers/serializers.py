"""How workers look on the wire."""

from typing import Any

from tracker.api.fields import Flag, Id, Text
from tracker.api.serializers import RequestSerializer
from workers.models import Worker, WorkerAccess


class AliasRequest(RequestSerializer):
    alias = Text(longest=255, default="", required=False)


class SetPausedRequest(RequestSerializer):
    worker = Id()
    paused = Flag()


class AccessRequest(RequestSerializer):
    project = Id()
    assign = Flag(default=False)
    submit = Flag(default=False)


class SecretRequest(RequestSerializer):
    secret = Text(longest=100_000)


def worker_content(worker: Worker) -> dict[str, Any]:
    """The worker object of the API. Never the secret."""
    return {
        "id": worker.pk,
        "created": int(worker.created.timestamp()),
        "alias": worker.alias,
        "paused": worker.paused,
    }


def access_content(access: WorkerAccess) -> dict[str, Any]:
    """A worker's access to a project. `assign` and `submit` are what it has or, with `request`, has asked for."""
    return {
        "worker": worker_content(access.worker),
        "project": access.project_id,
        "assign": access.assign or access.wants_assign,
        "submit": access.submit or access.wants_submit,
        "request": access.is_pending,
        "granted_assign": access.assign,
        "granted_submit": access.submit,
    }
