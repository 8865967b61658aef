"""Path converters. tracker.apps registers them before any URLconf is loaded."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tracker.api.errors import BadInput, NotFound
from tracker.api.fields import INT64, quoted

_DIGITS = len(str(INT64[1]))


class NumberConverter:
    """An id in a page's address: a number that fits a bigint column. Other addresses don't exist."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        number = int(value)
        if number > INT64[1]:
            raise ValueError
        return number

    def to_url(self, value: int) -> str:
        return str(value)


class WrongId(NamedTuple):
    """What an address has where an id should be."""

    text: str


class IdConverter:
    """An id in an API path. It takes whatever stands there, so that the view can say what is wrong with it."""

    regex = "[^/]+"

    def to_python(self, value: str) -> int | WrongId:
        is_number = value.isascii() and value.isdigit() and len(value) <= _DIGITS
        return int(value) if is_number and int(value) <= INT64[1] else WrongId(value)

    def to_url(self, value: int) -> str:
        return str(value)


def check_ids(arguments: Mapping[str, Any]) -> None:
    """Raise BadInput for an id in a path that is no whole number, and NotFound for one that no row can have."""
    for name, value in arguments.items():
        if isinstance(value, WrongId):
            thing = name.removesuffix("_id")
            if value.text.isascii() and value.text.isdigit():
                raise NotFound(f"There is no {thing} {value.text[:40]}; ids have at most {_DIGITS} digits.")
            raise BadInput(
                f"{thing}: the address must have a {thing}'s id here, a whole number, not {quoted(value.text)}."
            )
