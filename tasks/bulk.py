"""The bodies of bulk calls, which are arrays, or objects with an array."""

from collections.abc import Callable
from typing import Any, TypeVar

from tracker.api.body import EmptyBody
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import quoted, shown

Item = TypeVar("Item")


def items_of(declaration: str, limit: int) -> dict[str, Any]:
    items = {"$ref": f"#/components/schemas/{declaration}"}
    return {"type": "array", "items": items, "minItems": 1, "maxItems": limit}


def array_or(key: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [items, {"type": "object", "properties": {key: items}, "required": [key]}]}


def checked_items(body: Any, key: str, name: str, limit: int) -> list[Any]:
    """The items of a bulk call, whose body is an array or an object with an array under the key."""
    items = body.get(key) if type(body) is dict else body
    if type(items) is not list:
        found = body.what.removeprefix("the body is ") if isinstance(body, EmptyBody) else _found(body, key)
        raise BadInput(f'The body must be an array of {name} or {{"{key}": […]}}, not {found}.')
    if not 0 < len(items) <= limit:
        raise InvalidField(key, f"must hold 1 to {limit} items, not {len(items)}.")
    return items


def _found(body: Any, key: str) -> str:
    """What a body has in place of the array."""
    if type(body) is not dict:
        return shown(body)
    return f"{shown(body[key])} under {quoted(key)}" if key in body else f"an object without {quoted(key)}"


def each(parse: Callable[[Any], Item], items: list[Any]) -> list[Item]:
    """All items, parsed; an error names the index of the invalid item."""
    parsed = []
    try:
        for item in items:
            parsed.append(parse(item))
    except BadInput as error:
        raise BadInput(f"Item {len(parsed)}: {str(error).removeprefix('The body ')}") from error
    return parsed
