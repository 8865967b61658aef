"""Telling of keys that seem to be misspelt.

Bodies that existing clients send may have other keys, which are ignored. Of keys that came later, a misspelt one would
be lost in silence.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from tracker.api.errors import BadInput
from tracker.api.fields import quoted


def check_spelling(body: Mapping[str, Any], *, known: Collection[str], newer: Collection[str], of: str) -> None:
    """Raise BadInput if a key that isn't `known` resembles a `newer` one, or stands beside one.

    `of` says whose keys they are: "a report".
    """
    is_new = any(name in body for name in newer)
    for key in body.keys() - known:
        meant = difflib.get_close_matches(key, newer, n=1, cutoff=0.75)
        if meant:
            raise BadInput(f"{quoted(key)} is no key of {of}; {quoted(meant[0])} may be meant.")
        if is_new:
            raise BadInput(f"{quoted(key)} is no key of {of}; there are {', '.join(known)}.")
