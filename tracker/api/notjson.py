"""What a body is that can't be parsed, and what to send instead."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import quoted

# Larger bodies are not searched for the faulty field, so that nobody can keep the tracker busy with them.
_SEARCHED = 64 * 1024

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x9c": "deflate",
    b"\x78\xda": "deflate",
    b"PK\x03\x04": "zip",
}
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_FORM = re.compile(rb"[\w.%+-]+=")


# What the parser's words mean, where the field is not searched or not found.
_WORDS = {
    "surrogate": "a text holds half of a surrogate pair; send both halves, or the character in UTF-8",
    "infinity": "a number is too large; send a smaller one",
    "depth limit": "it is nested too deeply; send a flatter object",
}


def not_json(raw: bytes | str, error: orjson.JSONDecodeError) -> BadInput:
    """The error to raise for a body that orjson has refused."""
    known = _wrong_bytes(raw) or _wrong_value(raw)
    if known is not None:
        return known
    where = f"line {error.lineno} column {error.colno}"
    for word, problem in _WORDS.items():
        if word in error.msg:
            return BadInput(f"The body is not JSON: {problem} ({where}).")
    return BadInput(f"The body is not JSON: {error}.")


def _wrong_bytes(raw: bytes | str) -> BadInput | None:
    """What the bytes are, if they are no text in UTF-8, or no JSON at all."""
    if isinstance(raw, str):
        return None
    for beginning, method in _COMPRESSED.items():
        if raw.startswith(beginning):
            return BadInput(f"The body is not JSON: it is compressed ({method}); send it uncompressed.")
    if raw.startswith(_WIDE) or b"\0" in raw[:4]:
        return BadInput("The body is not JSON in UTF-8: it is encoded in UTF-16 or UTF-32; encode it in UTF-8.")
    if raw.startswith(codecs.BOM_UTF8):
        return BadInput("The body is not JSON: it begins with a byte order mark; send UTF-8 without one.")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        byte = f"0x{raw[error.start]:02X}"
        return BadInput(
            f"The body is not JSON in UTF-8: the byte {byte} at position {error.start} does not belong there."
        )
    if _FORM.match(raw):
        return BadInput('The body is not JSON: it is a form; send an object such as {"name": "value"}.')
    return None


def _wrong_value(raw: bytes | str) -> BadInput | None:
    """Which field has a value that only Python's more lenient parser takes."""
    if len(raw) > _SEARCHED:
        return None
    try:
        body = json.loads(raw, parse_constant=_Constant, parse_int=_number, parse_float=_number)
        return next(_problems(body, "", ""), None)
    except (ValueError, RecursionError):
        return None


class _Constant(str):
    """NaN, Infinity or -Infinity."""

    __slots__ = ()


class _TooLarge(str):
    """A number that is too large for a floating point number."""

    __slots__ = ()


def _number(text: str) -> Any:
    return _TooLarge(text) if float(text) in (float("inf"), float("-inf")) else 0


def _problems(value: Any, item: str, name: str) -> Iterator[BadInput]:
    """The problems of a value; `item` and `name` say where it stands, as "Item 3: " and "recipe"."""
    if isinstance(value, dict):
        for key, one in value.items():
            if _is_half(key):
                yield BadInput(f"{item}the key {_escaped(key)} {_HALF}")
            yield from _problems(one, item, key)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _problems(one, f"Item {index}: ", "")
    elif isinstance(value, str):
        problem = None
        if isinstance(value, _Constant):
            problem = f"{value} is not JSON; send a number."
        elif isinstance(value, _TooLarge):
            problem = f"{value[:20]} is too large a number; send a smaller one."
        elif _is_half(value):
            problem = f"{_escaped(value)} {_HALF}"
        if problem is not None:
            yield InvalidField(f"{item}{name}".removesuffix(": ") or "The body", problem)


_HALF = (
    "holds half of a surrogate pair, which is no character and not JSON; send both halves, or the character in UTF-8."
)


def _is_half(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _escaped(text: str) -> str:
    half = next(character for character in text if "\ud800" <= character <= "\udfff")
    return quoted(f"\\u{ord(half):04x}")
