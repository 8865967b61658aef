"""Declared requests: which keys a body may carry, and what each must be."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty

from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import WireField, WrongValue, shown


class RequestSerializer(serializers.Serializer[Any]):
    """A request body, an object with the declared fields. Unknown keys are ignored; null counts as absent."""

    _wire: ClassVar[list[tuple[str, WireField, bool, Any]]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._wire = [
            (name, field, field.required, None if field.default is empty else field.default)
            for name, field in cls._declared_fields.items()
            if isinstance(field, WireField)
        ]

    @classmethod
    def parse(cls, body: Any) -> dict[str, Any]:
        """The checked values by field name, defaults filled in. Raises BadInput, mostly as InvalidField."""
        if type(body) is not dict:
            raise BadInput(f"The body must be a JSON object, not {shown(body)}.")
        values = {}
        for name, field, required, default in cls._wire:
            value = body.get(name)
            if field.also is not None:
                value = _one_of(name, value, field.also, body.get(field.also))
            if value is None:
                if required:
                    raise InvalidField(name, "is missing.")
                values[name] = default
                continue
            try:
                values[name] = field.parse(value)
            except WrongValue as error:
                raise InvalidField(name, str(error)) from error
        cls.check(values)
        return values

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """For rules between fields; may change `values`. Raises BadInput."""


def _one_of(name: str, value: Any, other_name: str, other: Any) -> Any:
    """The value of a key that has two names. A zero or an empty text, which some clients always send, yields."""
    if value is None or (_is_zero(value) and other is not None):
        return other
    if other is None or _is_zero(other) or value == other:
        return value
    raise InvalidField(name, f"differs from {other_name}, which means the same; send one of them.")


def _is_zero(value: Any) -> bool:
    return type(value) in (int, str) and not value
