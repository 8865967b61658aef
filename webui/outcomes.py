"""How the ends of leases and groups of failures are named and marked, on the pages and in the admin."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tasks.models import Outcome, Reason

# What the reasons of tasks.fingerprints.reason_of are called.
REASONS = {
    "error": _("error"),
    "bad_recipe": _("bad recipe"),
    "shutdown": _("shutdown"),
    "busy": _("worker busy"),
    "not_for_me": _("not for this worker"),
    "expired": _("task expired"),
    "disagreement": _("disagreement"),
    "lease_expired": _("lease expired"),
}
# The kinds of marks; the others are plain.
KINDS = {"error": "bad", "bad_recipe": "bad", "expired": "warn", "disagreement": "bad", "lease_expired": "warn"}


class Named(NamedTuple):
    """What an outcome is called, and the kind of its mark."""

    text: Promise
    kind: str = ""


# Of attempts. One that closed its task is an attempt only once a manager has put the task back.
OUTCOMES = {
    Outcome.CLOSED: Named(_("closed, put back"), "warn"),
    Outcome.FAILED: Named(_("failed"), "bad"),
    Outcome.SKIPPED: Named(_("skipped")),
    Outcome.VOTED: Named(_("verified"), "good"),
    Outcome.EXPIRED: Named(_("lease expired"), "warn"),
    Outcome.RECLAIMED: Named(_("lease reclaimed")),
    Outcome.CANCELLED: Named(_("cancelled")),
}


def reason_given(reason: Reason | None) -> str:
    """The reason of an attempt, if it tells more than the outcome."""
    return "" if reason in (None, Reason.ERROR) else str(REASONS[reason.name.lower()])
