"""Template tags for the marks of leases and workers."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tasks.marks import Mark
from tasks.models import Outcome, Reason

register = template.Library()


@register.simple_tag
def outcome(value: int, reason: int | None = None) -> SafeString:
    """How a lease ended, as a mark, with the reason that the worker gave."""
    labels = {
        Outcome.CLOSED: ("warn", _("closed, put back")),
        Outcome.FAILED: ("bad", _("failed")),
        Outcome.SKIPPED: ("", _("skipped")),
        Outcome.VOTED: ("good", _("voted")),
        Outcome.EXPIRED: ("warn", _("expired")),
        Outcome.RECLAIMED: ("", _("reclaimed")),
        Outcome.CANCELLED: ("", _("cancelled")),
    }
    reasons = {
        Reason.BAD_RECIPE: _("bad recipe"),
        Reason.SHUTDOWN: _("shutdown"),
        Reason.BUSY: _("busy"),
        Reason.NOT_FOR_ME: _("not for this worker"),
    }
    kind, text = labels.get(Outcome(value), ("", Outcome(value).label))
    given = reasons.get(Reason(reason)) if reason is not None else None
    return format_html('<span class="mark {}">{}</span>', kind, f"{text}: {given}" if given else text)


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
