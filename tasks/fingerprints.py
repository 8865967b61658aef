"""What failed attempts of the same kind share, as people and programs read it: fingerprint and reason."""

import re

from tasks.models import Outcome, Reason

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")

#: The reason of attempts whose lease expired; the others have the name of a Reason.
LEASE_EXPIRED = "lease_expired"


def text_of(fingerprint: int) -> str:
    """A fingerprint as text, 16 hexadecimal digits: JavaScript's numbers don't have 64 bits."""
    return f"{fingerprint % 2**64:016x}"


def fingerprint_in(text: str) -> int | None:
    """The fingerprint that `text_of` wrote; None for any other text."""
    if not _FINGERPRINT.fullmatch(text):
        return None
    number = int(text, 16)
    return number - 2**64 if number >= 2**63 else number


def reason_of(outcome: int, reason: int | None) -> str:
    """Why an attempt failed: LEASE_EXPIRED, or the name of its Reason, by default of ERROR."""
    return LEASE_EXPIRED if outcome == Outcome.EXPIRED else Reason(reason or Reason.ERROR).name.lower()
