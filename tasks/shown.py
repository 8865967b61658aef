"""What the admin's lists of open and of closed tasks show alike."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from projects.models import Project
from projects.scoping import scope_of
from tracker.filters import Choice, id_in
from tracker.modeladmin import clipped, link
from workers.models import Worker

# Workers of one alias that a filter stands for.
SAME_NAMES = 1_000


class ProjectFilter(Choice):
    """The projects in scope."""

    title, parameter_name = gettext_lazy("project"), "project"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:
        found = scope_of(request).within(Project.objects.order_by("name"), project="pk")
        return tuple((str(pk), name) for pk, name in found.values_list("pk", "name"))


def project_link(project: Project) -> SafeString:
    """The project's name, which leads to it."""
    return link(f"/admin/projects/project/{project.pk}/change/", clipped(project.name, short=True))


def worker_name(worker_id: int | None, alias: str | None) -> str:
    """How a worker is called, also one that was deleted. A dash for none."""
    if worker_id is None:
        return "–"
    return _("deleted worker %(id)s") % {"id": worker_id} if alias is None else f"{alias} ({worker_id})"


def workers_called(text: str) -> list[int] | None:
    """The workers with this id or alias; None for no text."""
    if not text:
        return None
    worker = id_in(text)
    if worker is not None:
        return [worker]
    return list(Worker.objects.filter(alias__iexact=text).values_list("pk", flat=True)[:SAME_NAMES])


def aliases_of(worker_ids: Sequence[int]) -> dict[int, str]:
    """The aliases of those workers that are still there."""
    return dict(Worker.objects.filter(pk__in=worker_ids).values_list("pk", "alias"))


def vote_table(voters: Sequence[int], votes: Sequence[int]) -> SafeString:
    """Who verified a task with which hash. A hash is 64 bits: more than a number can be in a browser, so it is text."""
    if not voters:
        return format_html("{}", "–")
    aliases = aliases_of(voters)
    rows = ((worker_name(worker, aliases.get(worker)), str(vote)) for worker, vote in zip(voters, votes, strict=True))
    return format_html(
        '<table class="plain"><tr><th>{}</th><th>{}</th></tr>{}</table>',
        _("worker"),
        _("verification hash"),
        format_html_join("", "<tr><td>{}</td><td><code>{}</code></td></tr>", rows),
    )
