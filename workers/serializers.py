"""Requests and responses about workers."""

from typing import Any

from rest_framework.fields import BooleanField, IntegerField

from tracker.api.description import Content
from tracker.api.fields import Flag, Id, Text
from tracker.api.items import Each
from tracker.api.serializers import RequestSerializer
from workers.models import Worker, WorkerAccess


class AliasRequest(RequestSerializer):
    alias = Text(
        longest=255, default="", help_text="A name to show, not unique: see Names; `default_alias` if there is none."
    )


class SetPausedRequest(RequestSerializer):
    worker = Id()
    paused = Flag()


class AccessRequest(RequestSerializer):
    project = Id()
    assign = Flag(default=False, help_text="To lease tasks. `assign` or `submit` must be true.")
    submit = Flag(default=False, help_text="To submit and lease tasks.")


class OperatorRequest(RequestSerializer):
    strict = True

    workers = Each(Id(), most=1_000, help_text="The ids of the operator's workers.")
    operator = Text(longest=100, help_text="What you call the operator; empty: they are not one operator's any more.")


class SecretRequest(RequestSerializer):
    secret = Text(longest=100_000)


class WorkerContent(Content):
    id = Id()
    created = IntegerField(help_text="Unix seconds.")
    alias = Text()
    paused = BooleanField(help_text="A paused worker is given no tasks.")


class WorkerWithSecretContent(WorkerContent):
    secret = Text(help_text="For the header X-Secret. Shown only once.")


class AccessContent(Content):
    worker = WorkerContent()
    project = Id()
    assign = BooleanField(help_text="Granted or, if `request` is true, requested.")
    submit = BooleanField(help_text="Granted or, if `request` is true, requested.")
    request = BooleanField(help_text="Whether a request is pending.")
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
    """A worker's access to a project. `assign` and `submit` are true if granted or requested."""
    return {
        "worker": worker_content(access.worker),
        "project": access.project_id,
        "assign": access.assign or access.wants_assign,
        "submit": access.submit or access.wants_submit,
        "request": access.is_pending,
        "granted_assign": access.assign,
        "granted_submit": access.submit,
    }
