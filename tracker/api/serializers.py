"""The base class of request serializers, which declare the keys of a body and their values."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty

from tracker.api.body import EmptyBody
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import WireField, WrongValue, quoted, shown


class RequestSerializer(serializers.Serializer[Any]):
    """A request body, an object with the declared fields. Unknown keys are ignored; null counts as absent.

    With `strict`, unknown keys are refused: a misspelt one would be lost in silence. Calls that existing clients make
    are not strict, since some send more than they should.
    """

    strict: ClassVar[bool] = False

    # For each key that a body may have: the field's name, the field, and the field's other key, if it has two.
    _known: ClassVar[dict[str, tuple[str, WireField, str | None]]]
    _defaults: ClassVar[dict[str, Any]]
    _required: ClassVar[list[str]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        fields = {name: field for name, field in cls._declared_fields.items() if isinstance(field, WireField)}
        cls._known = {name: (name, field, field.also) for name, field in fields.items()}
        cls._known |= {field.also: (name, field, name) for name, field in fields.items() if field.also is not None}
        cls._defaults = {name: None if field.default is empty else field.default for name, field in fields.items()}
        cls._required = [name for name, field in fields.items() if field.required]

    @classmethod
    def parse(cls, body: Any) -> dict[str, Any]:
        """Return the validated values by field name, with defaults. Raises BadInput, usually as InvalidField."""
        if type(body) is not dict and not isinstance(body, EmptyBody):
            raise BadInput(f"The body must be a JSON object, not {shown(body)}.")
        values = cls._defaults.copy()
        # Loops over the body's keys, not the fields, most of which are usually absent: a bulk does this 10,000 times.
        for key, value in body.items():
            if key not in cls._known:
                if cls.strict:
                    known = ", ".join(cls._declared_fields)
                    raise BadInput(f"{quoted(key)} is no key here; there are {known}.")
                continue
            if value is None:
                continue
            name, field, other = cls._known[key]
            value = _either(name, field, body) if other is not None and other in body else _parsed(key, field, value)
            if value is not None:
                values[name] = value
        for name in cls._required:
            if values[name] is None:
                raise InvalidField(name, f"is missing{body.why if isinstance(body, EmptyBody) else ''}.")
        cls.check(values)
        return values

    @classmethod
    def parse_query(cls, query: Mapping[str, str]) -> dict[str, Any]:
        """A query string's parameters, whole numbers and words, in the same way. Unknown ones are refused.

        A misspelt one would silently do something else.
        """
        for name in query:
            if name not in cls._known:
                known = " and ".join(sorted(cls._known))
                raise BadInput(f"{quoted(name)} is no parameter of this address; it takes {known}.")
        return cls.parse({name: whole_number(value) for name, value in query.items()})

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """Hook for rules between fields; may change `values`. Raises BadInput."""


def _parsed(name: str, field: WireField, value: Any) -> Any:
    if value is None:
        return None
    try:
        return field.parse(value)
    except WrongValue as error:
        raise InvalidField(name, str(error)) from error


def _either(name: str, field: WireField, body: dict[str, Any]) -> Any:
    """The value of a field with two keys. A zero or empty text, which some clients always send, yields to the other."""
    other_name = str(field.also)
    value, other = body.get(name), body.get(other_name)
    if _is_zero(other) and value is not None:
        other = None
    elif _is_zero(value) and other is not None:
        value = None
    value, other = _parsed(name, field, value), _parsed(other_name, field, other)
    if value is not None and other is not None and value != other:
        raise InvalidField(name, f"differs from {other_name}, which means the same; send one of them.")
    return other if value is None else value


def _is_zero(value: Any) -> bool:
    return type(value) in (int, str) and not value


def whole_number(text: str) -> int | str:
    """A number as a query string has it; other text as it is, for the declaration to refuse."""
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 else text
