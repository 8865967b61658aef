"""Template tags for the marks of leases and workers."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tasks.marks import Mark
from tasks.models import Outcome, Reason
from webui.outcomes import OUTCOMES, reason_given

register = template.Library()


@register.simple_tag
def outcome(value: int, reason: int | None = None) -> SafeString:
    """How a lease ended, as a mark, with the reason that the worker gave."""
    named = OUTCOMES[Outcome(value)]
    given = reason_given(None if reason is None else Reason(reason))
    return format_html('<span class="mark {}">{}</span>', named.kind, f"{named.text}: {given}" if given else named.text)


def mark_texts(mark: Mark) -> tuple[str, str]:
    """A short text for a worker's mark, and a long one."""
    texts = {
        Mark.FAILS: (_("fails often"), _("Fails or expires much more often than the project's other workers")),
        Mark.DISAGREES: (_("disagrees often"), _("Is outvoted much more often than the project's other workers")),
    }
    return texts[mark]


@register.simple_tag
def worker_marks(given: tuple[Mark, ...]) -> SafeString:
    """What a worker does much more often than the others."""
    return format_html_join(" ", '<span class="mark bad" title="{1}">{0}</span>', map(mark_texts, given))
