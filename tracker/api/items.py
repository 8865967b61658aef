"""Many values at once: as a field, or as the body of a bulk call: an array, or an object with it under a key."""

from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework.fields import ListField

from tracker.api.body import EmptyBody
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import WireField, WrongValue, quoted, shown
from tracker.api.serializers import RequestSerializer

Item = TypeVar("Item")


class Each(WireField, ListField):
    """1 to `most` values, each of which is valid for a field."""

    def __init__(self, child: WireField, *, most: int, **options: Any) -> None:
        self.one, self.most = child, most
        super().__init__(child=child, min_length=1, max_length=most, **options)

    def parse(self, value: Any) -> list[Any]:
        if type(value) is not list or not 0 < len(value) <= self.most:
            found = f"{len(value)} of them" if type(value) is list else shown(value)
            raise WrongValue(f"must be an array of 1 to {self.most}, not {found}.")
        parsed: list[Any] = []
        try:
            for one in value:
                parsed.append(self.one.parse(one))
        except WrongValue as error:
            raise WrongValue(f"item {len(parsed)} {error}") from error
        return parsed


def array_or(key: str, item: type[RequestSerializer], most: int) -> dict[str, Any]:
    """The description of such a body, for `describe`."""
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": most}
    return {"oneOf": [items, {"type": "object", "properties": {key: items}, "required": [key]}]}


def items_of(body: Any, *, key: str, most: int, called: str | None = None, strict: bool = False) -> list[Any]:
    """The 1 to `most` items of such a body, `called` as its key or otherwise. Raises BadInput.

    With `strict`, other keys beside `key` are refused.
    """
    called = called or key
    items = body
    if type(body) is dict:
        for name in body:
            if strict and name != key:
                problem = f"{quoted(name)} is no key of this call"
                raise BadInput(f'{problem}; send an array of {called} or {{"{key}": […]}}, without anything else.')
        items = body.get(key)
    if type(items) is not list:
        found = body.what.removeprefix("the body is ") if isinstance(body, EmptyBody) else _found(body, key)
        raise BadInput(f'The body must be an array of {called} or {{"{key}": […]}}, not {found}.')
    if not 0 < len(items) <= most:
        raise InvalidField(key, f"must hold 1 to {most} items, not {len(items)}.")
    return items


def _found(body: Any, key: str) -> str:
    """What a body has in place of the array."""
    if type(body) is not dict:
        return shown(body)
    return f"{shown(body[key])} under {quoted(key)}" if key in body else f"an object without {quoted(key)}"


def parsed_items(parse: Callable[[Any], Item], items: list[Any]) -> list[Item]:
    """All items, parsed; an error names the index of the invalid item."""
    parsed: list[Item] = []
    try:
        for item in items:
            parsed.append(parse(item))
    except BadInput as error:
        raise BadInput(f"Item {len(parsed)}: {str(error).removeprefix('The body ')}") from error
    return parsed
