"""Showing text that strangers wrote: names, recipes, log messages.

A terminal obeys control characters, and a direction character changes the order in which the text after it is shown,
such as the id behind an alias. New names can't contain them, but stored ones may.
"""

import re
import unicodedata
from typing import Any

import orjson

# Control characters, line separators, and what is invisible: format and direction characters, fillers, surrogates (how
# Python represents bytes of an argument that are not valid UTF-8). Not variation selectors, which many emoji have.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# How much of a text its gist has.
_GIST_LINES, _GIST_LENGTH = 3, 120
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def has_unseen(text: str) -> bool:
    """Whether the text contains a control character or an invisible one."""
    return _UNSEEN.search(text) is not None


def visible(text: str, *, keep: str = "") -> str:
    """The text with control and invisible characters as escapes, such as \\u202e, except those in `keep`."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def isolated(text: str, *, keep: str = "") -> str:
    """The text as `visible` shows it; if parts run from right to left, they don't reorder what stands around it.

    For places that can't contain markup: attributes, titles, options. Elsewhere pages use <bdi>.
    """
    shown = visible(text, keep=keep)
    if any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in shown):
        return f"{_FIRST_STRONG_ISOLATE}{shown}{_POP_ISOLATE}"
    return shown


def gist(text: str) -> str:
    """A text in at most three lines as `visible` shows them: all of it, or the first and the last.

    One of these mostly says what happened. Tracebacks of Python end with it, those of most other languages begin so.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if len(lines) > _GIST_LINES:
        lines = [lines[0], "…", lines[-1]]
    return readable("\n".join(line if len(line) <= _GIST_LENGTH else f"{line[:_GIST_LENGTH]}…" for line in lines))


def readable(text: str) -> str:
    """A text that may have several lines, as `visible` shows it."""
    return visible(text, keep="\n\t")


def json_line(value: Any, *, default: Any = None) -> str:
    """The value as JSON on one line, with control and invisible characters as JSON's escapes."""
    # Outside its strings, JSON has none of these characters.
    return _UNSEEN.sub(lambda found: _as_json(found[0]), orjson.dumps(value, default=default).decode())


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _as_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
