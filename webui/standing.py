"""What is said of a worker in lists: whether it is paused, and whether it holds tasks.

That a worker holds tasks doesn't mean that it is at work: it may have been killed. What is known is when it was last
seen, and whether its leases have run out since.
"""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.queries.activity import LEASES, Activity
from webui.templatetags.formatting import count


def standing(activity: Activity, *, paused: bool, counted: int = LEASES) -> list[tuple[str, str]]:
    """Texts with their kinds: info, warn, bad, or none. `counted` is up to which number leases were counted."""
    marks = [(_("paused"), "warn")] if paused else []
    more = "+" if activity.leases >= counted else ""
    live = activity.leases - activity.expired
    if live:
        text = ngettext("holds %(number)s task", "holds %(number)s tasks", live)
        marks.append((text % {"number": count(live) + more}, "info"))
    if activity.expired:
        text = ngettext("holds %(number)s expired lease", "holds %(number)s expired leases", activity.expired)
        marks.append((text % {"number": count(activity.expired) + more}, "bad"))
    return marks or [(_("holds no task"), "")]
