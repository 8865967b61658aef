"""How workers look on the wire."""

from typing import Any

from rest_framework.fields import BooleanField, IntegerField

from tracker.api.description import Content
from tracker.api.fields import Flag, Id, Text
from tracker.api.serializers import RequestSerializer
from workers.models import Worker, WorkerAccess


class AliasRequest(RequestSerializer):
    alias = Text(longest=255, default="", help_text="A name to show; `default_alias` if there is none.")


class SetPausedRequest(RequestSerializer):
    worker = Id()
    paused = Flag()


class AccessRequest(RequestSerializer):
    project = Id()
    assign = Flag(default=False, help_text="To lease tasks. One of the two must be true.")
    submit = Flag(default=False, help_text="To submit tasks, and to lease them.")


class SecretRequest(RequestSerializer):
    secret = Text(longest=100_000)


class WorkerContent(Content):
    id = Id()
    created = IntegerField(help_text="Unix seconds.")
    alias = Text()
    paused = BooleanField(help_text="A paused worker is given no tasks.")


class WorkerWithSecretContent(WorkerContent):
    secret = Text(help_text="For the header X-Secret. It is shown this once.")


class AccessContent(Content):
    worker = WorkerContent()
    project = Id()
    assign = BooleanField(help_text="Has it or, with `request`, asks for it.")
    submit = BooleanField(help_text="Has it or, with `request`, asks for it.")
    request = BooleanField(help_text="Something waits for a decision.")
    granted_assign = BooleanField()
    granted_submit = BooleanField()


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
