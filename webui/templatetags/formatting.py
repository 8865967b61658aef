"""Template filters and tags that format numbers, times and states, for the pages and for the admin."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from projects.models import Project
from tracker.text import isolated, visible

register = template.Library()

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60

_WIDTH, _HEIGHT = 96, 26


@register.filter
def duration(seconds: float | None) -> str:
    """A duration in its two largest units: `2 days 4 h`. A dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = max(round(seconds), 0)
    days, hours, minutes = whole // _DAY, whole % _DAY // _HOUR, whole % _HOUR // _MINUTE
    texts = [
        (days, ngettext("%(n)s day", "%(n)s days", days)),
        (hours, _("%(n)s h")),
        (minutes, _("%(n)s min")),
        (whole % _MINUTE, _("%(n)s s")),
    ]
    # Two units, beginning with the largest that is not 0. Seconds are shown only if there are no minutes.
    while len(texts) > 1 and not texts[0][0]:
        texts.pop(0)
    if len(texts) == 2:
        texts.pop()
    return " ".join(unit % {"n": count(number)} for number, unit in texts[:2] if number or len(texts) == 1)


@register.filter
def took(seconds: float | None) -> str:
    """How long a task took: in milliseconds below a second, with a digit more below ten, else as a duration."""
    if seconds is None or not math.isfinite(seconds) or seconds >= 10:
        return duration(seconds)
    milliseconds = round(max(seconds, 0) * 1000)
    if milliseconds < 1000:
        return _("%(n)s ms") % {"n": milliseconds}
    return _("%(n)s s") % {"n": number_format(round(seconds, 1), 1)}


@register.filter
def share(part: float | None) -> str:
    """A share as a percentage; below one per cent with a digit more. A dash for None."""
    if part is None:
        return "–"
    digits = 1 if 0 < part < 0.01 else 0
    # number_format only cuts.
    return _("%(n)s %%") % {"n": number_format(round(part * 100, digits), digits)}


@register.filter
def count(number: int | None) -> str:
    """A whole number with the thousands separators of the page's language. A dash for None."""
    return "–" if number is None else number_format(number, force_grouping=True)


@register.filter
def rate(per_second: float | None) -> str:
    """A rate in the first of /s, /min and /h in which it is at least 1, otherwise in /h. A dash for None."""
    if per_second is None:
        return "–"
    scales = ((1, _("%(n)s /s")), (60, _("%(n)s /min")), (3600, _("%(n)s /h")))
    factor, unit = next((scale for scale in scales if per_second * scale[0] >= 1), scales[-1])
    value = per_second * factor
    digits = 0 if value >= 100 or value == 0 else 1
    return unit % {"n": number_format(value, digits, force_grouping=True)}


@register.filter
def limit(per_second: float) -> str:
    """A rate limit; 0 means unlimited."""
    return rate(per_second) if per_second else _("unlimited")


@register.simple_tag
def sparkline(values: Sequence[int], label: str) -> SafeString:
    """A small line chart of the values, oldest first; screen readers read `label`."""
    highest = max(values, default=0) or 1
    step = _WIDTH / max(len(values) - 1, 1)
    points = " ".join(
        f"{n * step:.1f},{_HEIGHT - 2 - value / highest * (_HEIGHT - 4):.1f}" for n, value in enumerate(values)
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">'
        '<polyline points="{}" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"'
        ' vector-effect="non-scaling-stroke"/></svg>',
        _WIDTH,
        _HEIGHT,
        label,
        points,
    )


def utc(time: datetime) -> str:
    """A time as text, in the only format of times: where there can't be markup, and for readers without scripts."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@register.simple_tag
def moment(time: datetime | None) -> SafeString | str:
    """A time in UTC, which frame.js converts to the reader's time zone. A dash for None."""
    if time is None:
        return "–"
    text = utc(time)
    return format_html('<time datetime="{}" title="{}" data-utc>{}</time>', time.isoformat(), text, text)


class Kind(StrEnum):
    """The colour of a mark."""

    PLAIN = ""
    INFO = "info"
    GOOD = "good"
    LATER = "later"
    WARN = "warn"
    BAD = "bad"


def mark(text: Any, kind: Kind = Kind.PLAIN) -> SafeString:
    """A short text in a coloured box."""
    return format_html('<span class="{}">{}</span>', f"mark {kind}".strip(), text)


# The words and colours of every state, of tasks, projects, workers and managers.
_STATES = {
    "ready": (gettext_lazy("ready"), Kind.PLAIN),
    "leased": (gettext_lazy("leased"), Kind.INFO),
    "delayed": (gettext_lazy("delayed"), Kind.LATER),
    "awaiting": (gettext_lazy("awaiting verification"), Kind.WARN),
    "failed": (gettext_lazy("failed"), Kind.BAD),
    "closed": (gettext_lazy("closed"), Kind.GOOD),
    "public": (gettext_lazy("public"), Kind.PLAIN),
    "private": (gettext_lazy("private"), Kind.PLAIN),
    "hidden": (gettext_lazy("hidden"), Kind.PLAIN),
    "paused": (gettext_lazy("paused"), Kind.WARN),
    "active": (gettext_lazy("active"), Kind.GOOD),
    "deactivated": (gettext_lazy("deactivated"), Kind.BAD),
    "tracker admin": (gettext_lazy("tracker admin"), Kind.INFO),
    "manager": (gettext_lazy("manager"), Kind.PLAIN),
}


@register.simple_tag
def state(name: str) -> SafeString:
    """The mark of a state, such as "paused"."""
    return mark(*_STATES[name])


@register.simple_tag
def marks(project: Project) -> SafeString:
    """The marks of a project: who may see it, and whether it is paused."""
    kind = "public" if project.public else "hidden" if project.hidden else "private"
    shown = [(state(one),) for one in (kind, *(["paused"] if project.paused else []))]
    return format_html('<span class="marks">{}</span>', format_html_join("", "{}", shown))


@register.filter
def name(text: str | None) -> SafeString:
    """A short text that a stranger wrote: a name, a version, a log entry's scope.

    Control and direction characters are shown as escapes, and text from right to left doesn't reorder what follows it.
    """
    return format_html("<bdi>{}</bdi>", visible(text or ""))


@register.filter
def plain(text: str) -> str:
    """Like `name`, where there can't be markup: in attributes and titles."""
    return isolated(text)


@register.filter
def is_link(text: str) -> bool:
    """Whether an address may become a link: only http and https, never `javascript:` or the like."""
    return text.startswith(("http://", "https://"))
