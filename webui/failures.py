"""How groups of failures are shown, on the pages and in the admin."""

from django.utils.translation import gettext_lazy as _

from tasks.models import Outcome

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

OUTCOMES = {
    Outcome.FAILED: _("failed"),
    Outcome.SKIPPED: _("skipped"),
    Outcome.VOTED: _("voted"),
    Outcome.EXPIRED: _("expired"),
}
