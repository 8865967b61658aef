"""How workers verified a task, and accepting one of their results by hand."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from projects.access import roles_of
from projects.models import Project
from projects.roles import Role
from tasks import maintenance
from tasks.models import ClosedTask, Task
from tasks.queries.status import State, Status
from tracker.api.errors import BadInput
from tracker.api.fields import INT64
from webui.links import Named, named_workers
from webui.pages.frame import find_with, home_of, project_page
from workers.queries import operators_in


class Vote(NamedTuple):
    """A vote on a task; `verification` is None if the worker said that the task is not for it.

    `number` workers gave this hash. The first vote of each hash `is_offered`, if it may be accepted by hand.
    """

    worker: Named
    operator: str
    verification: int | None
    number: int
    is_offered: bool


def votes_of(project: Project, found: Status, named: Mapping[int, Named], *, may_accept: bool) -> list[Vote]:
    """The votes on a task in their order; `named` has its voters."""
    if not found.voters:
        return []
    operators = operators_in(project.pk, found.voters)
    may_accept = may_accept and found.is_open and found.state != State.LEASED
    numbers = Counter(found.votes)
    first = {vote: found.votes.index(vote) for vote in numbers if vote is not None}
    return [
        Vote(
            named[voter],
            operators.get(voter, ""),
            vote,
            numbers[vote],
            may_accept and vote is not None and first[vote] == place,
        )
        for place, (voter, vote) in enumerate(zip(found.voters, found.votes, strict=True))
    ]


@require_POST
def accept(request: HttpRequest, project_id: int, task_id: int) -> HttpResponse:
    """/projects/7/tasks/9/accept/: asks for confirmation; with `confirmed`, closes the task with `verification`."""
    project = find_with(request, project_id, Role.MAINTENANCE)
    verification = _hash_in(request.POST.get("verification", ""))
    if "confirmed" in request.POST:
        try:
            maintenance.accept_vote(project=project, task=task_id, verification=verification)
        except maintenance.NoSuchVote:
            return _refused(request, project, task_id)
        messages.success(request, _("The result was accepted, and the task is closed."))
        return HttpResponseRedirect(_back(request, project, task_id))
    columns = ("id", "voters", "votes", "assignee_id")
    task = Task.objects.filter(pk=task_id, project=project).only(*columns).first()
    if task is None or task.assignee_id is not None or verification not in task.votes:
        return _refused(request, project, task_id)
    agreeing = [voter for voter, vote in zip(task.voters, task.votes, strict=True) if vote == verification]
    content = {
        "task_id": task.pk,
        "verification": verification,
        "first": named_workers(agreeing[:1])[agreeing[0]],
        "agreeing": len(agreeing),
        "others": sum(vote is not None for vote in task.votes) - len(agreeing),
        "back": _back(request, project, task_id),
    }
    return project_page(request, project, "tasks/accept.html", "tasks/", content)


def _refused(request: HttpRequest, project: Project, task_id: int) -> HttpResponse:
    told = _("Nothing was changed: the task is closed or gone, a worker holds it, or it no longer has this vote.")
    messages.error(request, told)
    return HttpResponseRedirect(_back(request, project, task_id))


def _back(request: HttpRequest, project: Project, task_id: int) -> str:
    """The task's page, or another one if that isn't there for this manager (any more)."""
    if Role.READ not in roles_of(request.user, project):
        return home_of(request, project, "console/")
    is_there = any(kind.objects.filter(pk=task_id, project=project).exists() for kind in (Task, ClosedTask))
    return f"/tasks/{task_id}/" if is_there else f"/projects/{project.pk}/tasks/"


def _hash_in(text: str) -> int:
    """The verification hash in a form. Raises BadInput."""
    if len(text) <= 20 and text.isascii() and text.removeprefix("-").isdigit() and INT64[0] <= int(text) <= INT64[1]:
        return int(text)
    raise BadInput(_("verification: must be a 64-bit integer."))
