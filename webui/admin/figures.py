"""The figures of a worker, as a table on its page in the admin."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from projects.models import Project
from tasks.queries import figures
from tasks.queries.figures import Figures, Period
from webui.admin.cells import LISTED, note, operator_mark, project_link
from webui.templatetags.formatting import count, share, took
from webui.templatetags.outcomes import worker_marks
from workers.queries import operators_of


def figures_table(worker: int, projects: Sequence[int], period: Period) -> SafeString | str:
    """What the worker has done in the first LISTED of these projects. A dash for nothing."""
    found = figures.of_worker(worker, projects, period)
    known = Project.objects.in_bulk([one.project for one in found[:LISTED]])
    operators = operators_of(worker, known)
    rows = [
        (_row(one, known[one.project], operators.get(one.project)),) for one in found[:LISTED] if one.project in known
    ]
    if not rows:
        return "–"
    names = [_("closed"), _("lost"), _("disagrees"), _("failed"), _("expired"), _("skipped"), _("outvoted")]
    names += [_("median"), "95 %"]
    return format_html(
        '<div class="figures"><table class="plain"><tr><th>{}</th>{}</tr>{}</table></div>{}',
        _("project"),
        format_html_join("", '<th class="number">{}</th>', ((name,) for name in names)),
        format_html_join("", "<tr>{}</tr>", rows),
        note(found),
    )


def _row(one: Figures, project: Project, operator: str | None) -> SafeString:
    numbers = [count(one.closed), share(one.failed_share), share(one.outvoted_share), count(one.failed)]
    numbers += [count(one.expired), count(one.skipped), count(one.outvoted), took(one.median), took(one.p95)]
    return format_html(
        "<td>{} {} {}</td>{}",
        project_link(project),
        operator_mark(operator),
        worker_marks(one.marks),
        format_html_join("", '<td class="number">{}</td>', ((number,) for number in numbers)),
    )
