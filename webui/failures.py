"""How groups of failures are shown, on the pages and in the admin."""

from django.utils.translation import gettext_lazy as _

from tasks.models import Outcome
from tracker.text import visible

# What the reasons of tasks.fingerprints.reason_of are called.
REASONS = {
    "error": _("error"),
    "bad_recipe": _("bad recipe"),
    "shutdown": _("shutdown"),
    "busy": _("worker busy"),
    "not_for_me": _("not for this worker"),
    "expired": _("lease expired"),
}
# The kinds of marks; the others are plain.
KINDS = {"error": "bad", "bad_recipe": "bad", "expired": "warn"}

OUTCOMES = {
    Outcome.FAILED: _("failed"),
    Outcome.SKIPPED: _("skipped"),
    Outcome.EXPIRED: _("expired"),
}

# How much of a message a list shows.
LINES = 3
LENGTH = 120


def gist(message: str) -> str:
    """A message in at most LINES lines: the first and the last, one of which mostly says what happened.

    Tracebacks of Python end with it, those of most other languages begin with it.
    """
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    if len(lines) > LINES:
        lines = [*lines[: LINES - 2], "…", lines[-1]]
    return readable("\n".join(line if len(line) <= LENGTH else f"{line[:LENGTH]}…" for line in lines))


def readable(text: str) -> str:
    """A text of a stranger that may have several lines, with control and invisible characters as escapes."""
    return visible(text, keep="\n\t")
