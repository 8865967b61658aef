"""The API of groups of failures, for managers."""

from typing import Any

from rest_framework.fields import IntegerField
from rest_framework.request import Request

from accounts.authentication import manager_of
from accounts.views import ManagerView
from projects.access import require, require_inside
from projects.roles import Role
from tasks import maintenance
from tasks.failure_serializers import (
    DELETE,
    NAMED,
    RETRY,
    FailedAttemptContent,
    FailedAttemptsQuery,
    FailureActionRequest,
    FailureContent,
    FailuresQuery,
    attempt_content,
    failure_content,
)
from tasks.fingerprints import fingerprint_in
from tasks.queries import failures
from tracker import keyset
from tracker.api import paging
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.errors import BadInput
from tracker.api.fields import Text, quoted


class FailuresView(ManagerView):
    """GET /project/failures/:id."""

    @describe(
        "Failed attempts in groups that failed alike, those seen last first",
        details=(
            "Needs a role in the project; in a hidden one, READ. Attempts are alike whose reason is the same and whose "
            "messages differ only in numbers, words with digits, addresses, case and white space. A page ends early "
            "where messages and outputs are very long; then `after` says that there are more."
        ),
        query=FailuresQuery,
        content={
            "failures": FailureContent(many=True),
            "after": Text(required=False, help_text="For the next page, if there is one."),
        },
        errors={403: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = require_inside(manager_of(request), project_id)
        page = self.query(FailuresQuery)
        after = None if page["after"] is None else keyset.decode(page["after"])
        found = failures.find([project.pk], after=after, limit=page["limit"], outputs=True)
        following = {} if found.following is None else {"after": keyset.encode(found.following)}
        return Envelope({"failures": [failure_content(one, named=NAMED) for one in found.groups]} | following)


class FailureView(ManagerView):
    """GET and POST /project/failures/:id/:fingerprint."""

    @describe(
        "A group of failed attempts, with its attempts, the newest first",
        details=(
            "Needs a role in the project; in a hidden one, READ. A page of attempts ends early where messages and "
            "outputs are very long; then `after` says that there are more."
        ),
        query=FailedAttemptsQuery,
        content={"failure": FailureContent, "attempts": FailedAttemptContent(many=True), **paging.next_page()},
        errors={403: None},
    )
    def get(self, request: Request, project_id: int, fingerprint: str) -> Envelope:
        project = require_inside(manager_of(request), project_id)
        page = self.query(FailedAttemptsQuery)
        group = failures.get(project.pk, fingerprint_of(fingerprint))
        found = failures.attempts(project.pk, group.fingerprint, **page)
        content: dict[str, Any] = {
            "failure": failure_content(group, named=failures.KNOWN),
            "attempts": [attempt_content(one) for one in found.attempts],
        }
        return Envelope(content | ({} if found.following is None else {"after": found.following}))

    @describe(
        "Retry, delete or change the priority of every task that is FAILED for the same",
        details="Needs MAINTENANCE. A task that is retried has its retries set to 0.",
        body=FailureActionRequest,
        content={"affected_tasks": IntegerField()},
        errors={403: None},
    )
    def post(self, request: Request, project_id: int, fingerprint: str) -> Envelope:
        project = require(manager_of(request), project_id, Role.MAINTENANCE)
        asked = self.parsed(FailureActionRequest)
        group = failures.get(project.pk, fingerprint_of(fingerprint))
        tasks = failures.tasks_of(project.pk, group.fingerprint)
        if asked["action"] == RETRY:
            affected = maintenance.retry_matching(tasks)
        elif asked["action"] == DELETE:
            affected = maintenance.delete_matching(tasks)
        else:
            affected = maintenance.set_priority_of_matching(tasks, priority=asked["priority"])
        return Envelope({"affected_tasks": affected})


def fingerprint_of(text: str) -> int:
    """The fingerprint in an address. Raises BadInput."""
    fingerprint = fingerprint_in(text)
    if fingerprint is None:
        raise BadInput(
            "fingerprint: the address must have a group's `fingerprint` here, 16 hexadecimal digits in lower case, "
            f"not {quoted(text)}."
        )
    return fingerprint
