"""Requests and responses about groups of failures."""

from collections.abc import Sequence
from typing import Any

import orjson
from rest_framework.fields import BooleanField, ChoiceField, FloatField, IntegerField, JSONField, ListField

from tasks.fingerprints import LEASE_EXPIRED
from tasks.models import Outcome, Reason
from tasks.queries.failures import COUNTED, COUNTED_IN_LISTS, KNOWN, FailedAttempt, Failure, Seen
from tracker.api.description import Content
from tracker.api.errors import InvalidField
from tracker.api.fields import INT16, Id, Text, WholeNumber, WireField, WrongValue, shown
from tracker.api.serializers import RequestSerializer

RETRY, DELETE, SET_PRIORITY = "retry", "delete", "set_priority"
ACTIONS = (RETRY, DELETE, SET_PRIORITY)

LONGEST_PAGE = 100
LONGEST_CURSOR = 200

# How many of its workers and versions a group in a list names.
NAMED = 5

_OUTCOMES = [one.name.lower() for one in (Outcome.FAILED, Outcome.SKIPPED, Outcome.EXPIRED)]
_REASONS = [*(one.name.lower() for one in Reason), LEASE_EXPIRED]


class FailuresQuery(RequestSerializer):
    after = Text(
        shortest=1, longest=LONGEST_CURSOR, required=False, help_text="Goes on there: `after` of the previous page."
    )
    limit = WholeNumber(low=1, high=LONGEST_PAGE, default=50)


class FailedAttemptsQuery(RequestSerializer):
    after = Id(required=False, help_text="Goes on behind this attempt: `after` of the previous page.")
    limit = WholeNumber(low=1, high=LONGEST_PAGE, default=20)


class ActionName(WireField, ChoiceField):
    """One of ACTIONS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=list(ACTIONS), **options)

    def parse(self, value: Any) -> str:
        if type(value) is str and value in ACTIONS:
            return value
        raise WrongValue(f"must be one of {', '.join(ACTIONS)}, not {shown(value)}.")


class FailureActionRequest(RequestSerializer):
    action = ActionName(help_text="What to do with every task that is FAILED for this.")
    priority = WholeNumber(low=INT16[0], high=INT16[1], required=False, help_text="The new one, with `set_priority`.")

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if values["action"] == SET_PRIORITY and values["priority"] is None:
            raise InvalidField("priority", f"is missing; {SET_PRIORITY} needs the new one.")
        if values["action"] != SET_PRIORITY and values["priority"] is not None:
            raise InvalidField("priority", f"is only for {SET_PRIORITY}, not for {values['action']}.")


class SeenContent(Content):
    id = Id()
    alias = Text(allow_null=True, help_text="null: it was deleted.")


class FailedAttemptContent(Content):
    id = Id()
    task_id = Id(help_text="The task may be closed by now, or deleted.")
    worker = SeenContent(allow_null=True, help_text="null: nobody held the task.")
    began = IntegerField(allow_null=True, help_text="Unix seconds.")
    ended = IntegerField()
    outcome = ChoiceField(_OUTCOMES)
    reason = ChoiceField(_REASONS)
    message = Text(allow_null=True, help_text="What the worker said.")
    output = JSONField(help_text="What the worker sent; null: nothing.")
    seconds = FloatField(allow_null=True, help_text="How long it took by the worker's own count.")
    version = Text(help_text="The project's version when it ended.")


class FailureContent(Content):
    fingerprint = Text(help_text="What attempts with the same reason and nearly the same message share.")
    reason = ChoiceField(
        _REASONS,
        help_text=(
            "`lease_expired`: the lease was not released in time; `expired`: the task itself, at its `expires_at`; "
            "`disagreement`: too many workers have verified it without agreeing."
        ),
    )
    message = Text(allow_null=True, help_text="Of its newest attempt.")
    count = IntegerField(help_text="How many attempts there were, also those that are not kept any more.")
    first_seen = IntegerField(help_text="Unix seconds.")
    last_seen = IntegerField()
    workers = SeenContent(
        many=True, help_text=f"The first that had it: in the list at most {NAMED}, alone at most {KNOWN}."
    )
    worker_count = IntegerField(help_text=f"How many had it; {KNOWN}: there may be more.")
    versions = ListField(child=Text(), help_text="The project's versions, in the same way.")
    version_count = IntegerField()
    failed_tasks = IntegerField(
        help_text=f"How many tasks are FAILED for it now, counted up to {COUNTED_IN_LISTS}, alone to {COUNTED}."
    )
    more_failed_tasks = BooleanField(help_text="Whether there may be more than were counted.")
    example = FailedAttemptContent(allow_null=True, help_text="Its newest attempt; null: none is kept any more.")


def failure_content(group: Failure, *, named: int) -> dict[str, Any]:
    """A group, with so many of its workers and versions."""
    return {
        "fingerprint": group.key,
        "reason": group.reason,
        "message": group.message,
        "count": group.total,
        "first_seen": int(group.first_seen.timestamp()),
        "last_seen": int(group.last_seen.timestamp()),
        "workers": _seen(group.workers[:named]),
        "worker_count": len(group.workers),
        "versions": group.versions[:named],
        "version_count": len(group.versions),
        "failed_tasks": group.failed_tasks,
        "more_failed_tasks": group.is_cut,
        "example": None if group.example is None else attempt_content(group.example),
    }


def attempt_content(attempt: FailedAttempt) -> dict[str, Any]:
    """An attempt, with its output as what it is rather than as text."""
    return {
        **attempt._asdict(),
        "worker": attempt.worker and attempt.worker._asdict(),
        "began": attempt.began and int(attempt.began.timestamp()),
        "ended": int(attempt.ended.timestamp()),
        "outcome": attempt.outcome.name.lower(),
        "output": None if attempt.output is None else orjson.Fragment(attempt.output),
    }


def _seen(workers: Sequence[Seen]) -> list[dict[str, Any]]:
    return [worker._asdict() for worker in workers]
