"""Formatting of the cells of the admin's lists and of the fields of its pages."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from projects.models import Project
from tracker.text import isolated, visible
from webui.templatetags.formatting import Kind, mark
from workers.models import Worker, WorkerAccess

# Maximum number of rows in a table on a page that isn't a list with pages. Callers fetch one more, for `cut_note`.
LISTED = 100


def clipped(text: str, *, title: str | None = None, short: bool = False) -> SafeString:
    """A text on one line, clipped to the available width; hovering over it shows more."""
    size = "clip short" if short else "clip"
    shown, more = visible(text, keep="\n\r\t"), isolated((title or text)[:1000], keep="\n\r\t")
    return format_html('<span class="{}" title="{}">{}</span>', size, more, shown)


def link(address: str, text: Any) -> SafeString:
    """A link to another page of the admin."""
    return format_html('<a class="goes" href="{}">{}</a>', address, text)


def rows_by_id(rows: "QuerySet[Any]", ids: list[int]) -> list[Any]:
    """The rows with these ids, in the order of the ids."""
    found = {row.pk: row for row in rows.filter(pk__in=ids)}
    return [found[one] for one in ids if one in found]


def project_link(project: Project) -> SafeString:
    """The project's name, as a link to its page."""
    return link(f"/admin/projects/project/{project.pk}/change/", clipped(project.name, short=True))


def worker_name(worker_id: int | None, alias: str | None) -> str:
    """A worker's alias and id; `alias` is None if the worker was deleted. A dash for no worker."""
    if worker_id is None:
        return "–"
    return _("deleted worker %(id)s") % {"id": worker_id} if alias is None else f"{isolated(alias)} ({worker_id})"


def clipped_worker(worker: Worker) -> SafeString:
    """A worker's alias and id on one line."""
    shown = format_html("<bdi>{}</bdi> ({})", visible(worker.alias), worker.pk)
    return format_html('<span class="clip" title="{}">{}</span>', worker_name(worker.pk, worker.alias), shown)


def aliases_of(worker_ids: Sequence[int]) -> dict[int, str]:
    """The aliases of the workers that still exist, by id."""
    return dict(Worker.objects.filter(pk__in=worker_ids).values_list("pk", "alias"))


def cut_note(rows: Sequence[Any]) -> str:
    """What to say below a table of the first LISTED of these rows: that there are more, if there are."""
    return _("Only the first %(most)s are listed.") % {"most": LISTED} if len(rows) > LISTED else ""


def note(rows: Sequence[Any]) -> SafeString | str:
    """`cut_note` as a paragraph; "" if there is nothing to say."""
    text = cut_note(rows)
    return format_html('<p class="note">{}</p>', text) if text else ""


def short_table(rows: Sequence[tuple[Any, Any]]) -> SafeString:
    """A table with two columns of the first LISTED rows."""
    table = format_html_join("", "<tr><td>{}</td><td>{}</td></tr>", rows[:LISTED])
    return format_html('<table class="plain">{}</table>{}', table, note(rows))


def vote_table(voters: Sequence[int], votes: Sequence[int | None]) -> SafeString:
    """The workers that verified a task, with their hashes as text: JavaScript can't represent every 64-bit integer."""
    if not voters:
        return format_html("{}", "–")
    aliases = aliases_of(voters)
    rows = (
        (worker_name(worker, aliases.get(worker)), _("not for this worker") if vote is None else str(vote))
        for worker, vote in zip(voters, votes, strict=True)
    )
    return format_html(
        '<table class="plain"><tr><th>{}</th><th>{}</th></tr>{}</table>',
        _("worker"),
        _("verification hash"),
        format_html_join("", "<tr><td>{}</td><td><code>{}</code></td></tr>", rows),
    )


def access_words(access: WorkerAccess) -> SafeString | str:
    """The granted access, as marks. A dash for none."""
    granted = [name for name, has in (("ASSIGN", access.assign), ("SUBMIT", access.submit)) if has]
    return marks_of(granted, Kind.GOOD)


def operator_mark(operator: str | None) -> SafeString | str:
    """What managers call a worker's operator; empty for none."""
    if not operator:
        return ""
    return format_html('<span class="mark" title="{}"><bdi>{}</bdi></span>', _("Operator"), visible(operator))


def marks_of(names: Sequence[str], kind: Kind) -> SafeString | str:
    """Several marks side by side. A dash for none."""
    return format_html_join("", "{}", ((mark(name, kind),) for name in names)) if names else "–"
