"""The API that cancels tasks."""

from rest_framework.fields import BooleanField, IntegerField
from rest_framework.request import Request

from accounts.models import User
from projects.access import require
from projects.models import Project
from projects.roles import Role
from tasks import cancelling
from tasks.cancel_serializers import CancelRequest, CancelResultContent, criteria_of, result_content
from tasks.cancelling import Canceller
from tasks.queue import WorkerPaused
from tasks.serializers import hash_of
from tasks.status_views import check_project
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from workers.access import require_submit
from workers.authentication import ReaderView
from workers.models import Worker, WorkerAccess


class CancelView(ReaderView):
    """POST /task/cancel."""

    @describe(
        "Cancel tasks that are not closed",
        details=(
            "For the worker that submitted the task, workers with SUBMIT in its project, and managers with MAINTENANCE "
            "there. Any other task is `not_found`, as is one that is closed. A cancelled task is deleted, without "
            "counting as closed; a worker that holds it learns so from its heartbeat or release. `results` has one "
            "entry for each task named, in the order sent. With `filter`, for which a worker needs SUBMIT, there are "
            f"none: the call works in batches for {cancelling.SECONDS:.0f} seconds, and is to be repeated if there is "
            "`more`."
        ),
        body=CancelRequest,
        content={
            "cancelled": IntegerField(help_text="How many tasks."),
            "results": CancelResultContent(many=True, required=False, help_text="Without `filter`."),
            "more": BooleanField(required=False, help_text="With `filter`: whether there may be others."),
        },
        errors={401: None, 403: None, 404: None},
    )
    def post(self, request: Request) -> Envelope:
        caller = self.reader(request)
        values = self.parsed(CancelRequest)
        canceller = canceller_of(caller)
        if values["ids"] is not None:
            cancelled = cancelling.cancel_ids(values["ids"], canceller)
            results = [result_content({"id": one}, one if one in cancelled else None) for one in values["ids"]]
            return Envelope({"cancelled": len(cancelled), "results": results})
        check_known(caller, values["project"], canceller)
        if values["filter"] is not None:
            check_filter(caller, values["project"])
            done = cancelling.cancel_matching(criteria_of(values["project"], values["filter"]))
            return Envelope({"cancelled": done.number, "more": done.more})
        hashes = values["hashes"] or [hash_of(text) for text in values["unique_strings"]]
        ids = cancelling.cancel_hashes(values["project"], hashes, canceller)
        results = [result_content({"hash64": one}, ids.get(one)) for one in hashes]
        return Envelope({"cancelled": len(ids), "results": results})


def canceller_of(caller: Worker | User) -> Canceller:
    """Which tasks the caller may cancel. Raises WorkerPaused."""
    if isinstance(caller, Worker):
        if caller.paused:
            raise WorkerPaused
        granted = WorkerAccess.objects.filter(worker=caller, submit=True)
        return Canceller(submitter=caller.pk, projects=list(granted.values_list("project_id", flat=True)))
    maintained = Project.objects.with_role(caller, Role.MAINTENANCE)
    return Canceller(projects=list(maintained.values_list("pk", flat=True)))


def check_known(caller: Worker | User, project_id: int, canceller: Canceller) -> None:
    """Raise NoSuchProject if there is no such project, or the caller may not know of it."""
    if project_id not in canceller.projects:
        check_project(caller, project_id)


def check_filter(caller: Worker | User, project_id: int) -> None:
    """Raise Forbidden unless the caller may cancel all tasks of the project.

    A worker that has submitted some of them can name these. To look for them among all others may take long, and
    anybody can register a worker.
    """
    if isinstance(caller, Worker):
        require_submit(worker=caller, project_id=project_id)
    else:
        require(caller, project_id, Role.MAINTENANCE)
