"""The fields of requests. They are strict: nothing is converted, clamped or trimmed.

They are DRF fields so that the OpenAPI document can be generated from the serializers. Values are validated by
`parse`: for a bulk request of thousands of tasks, DRF's own validation costs more than storing them.
"""

from typing import Any

from rest_framework import serializers

from tracker.names import normalized

INT16 = (-(2**15), 2**15 - 1)
INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)


class WrongValue(Exception):
    """The value is not valid for its field; the message says what would be."""


class WireField(serializers.Field):
    """A field of a request. `also` is a second key that clients may use for it."""

    def __init__(self, *, also: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.also = also

    def parse(self, value: Any) -> Any:
        """Return the validated value. Raises WrongValue."""
        raise NotImplementedError


class WholeNumber(WireField, serializers.IntegerField):
    """A whole number within [low, high]. `means` says what the numbers stand for."""

    def __init__(self, *, low: int, high: int, means: str = "", **options: Any) -> None:
        super().__init__(min_value=low, max_value=high, **options)
        self.low, self.high, self.means = low, high, means

    def parse(self, value: Any) -> int:
        # `type`, since isinstance takes True for an int. orjson parses a number beyond 64 bits as a float.
        if type(value) is int and self.low <= value <= self.high:
            return value
        means = f" ({self.means})" if self.means else ""
        raise WrongValue(f"must be a whole number from {self.low} to {self.high}{means}, not {shown(value)}.")


class Id(WholeNumber):
    """The id of a row."""

    def __init__(self, **options: Any) -> None:
        super().__init__(low=1, high=INT64[1], **options)


class Hash64(WholeNumber):
    """A 64-bit number, signed or unsigned; parsed as the signed number with the same bits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(low=INT64[0], high=2**64 - 1, **options)

    def parse(self, value: Any) -> int:
        number = super().parse(value)
        return number - 2**64 if number > INT64[1] else number


class Rate(WireField, serializers.FloatField):
    """Tokens per second from `low`, or 0 for unlimited. The only field that takes a fraction.

    More than `high` is unlimited, too: some clients send the largest number there is.
    """

    def __init__(self, *, low: float, high: float, **options: Any) -> None:
        super().__init__(min_value=0, **options)
        self.low, self.high = low, high

    def parse(self, value: Any) -> float:
        if type(value) in (int, float) and (value == 0 or self.low <= value):
            return float(value) if value <= self.high else 0.0
        raise WrongValue(f"must be 0 (unlimited) or a number from {self.low:f}, not {shown(value)}.")


class Flag(WireField, serializers.BooleanField):
    """true or false."""

    def parse(self, value: Any) -> bool:
        if value is True or value is False:
            return value
        raise WrongValue(f"must be true or false, not {shown(value)}.")


class Text(WireField, serializers.CharField):
    """Text of `shortest` to `longest` characters."""

    def __init__(self, *, shortest: int = 0, longest: int | None = None, **options: Any) -> None:
        limits: dict[str, Any] = {"min_length": shortest or None, "max_length": longest}
        super().__init__(allow_blank=not shortest, trim_whitespace=False, **limits, **options)
        self.shortest, self.longest = shortest, longest

    def parse(self, value: Any) -> str:
        if type(value) is not str:
            raise WrongValue(f"must be text, not {shown(value)}.")
        if self.shortest and not value:
            raise WrongValue("must not be empty.")
        if "\0" in value:
            raise WrongValue("must not contain the character U+0000, which the database can't store.")
        if len(value) < self.shortest:
            raise WrongValue(f"must be at least {self.shortest} characters long.")
        if self.longest is not None and len(value) > self.longest:
            raise WrongValue(f"must be at most {self.longest} characters long, not {len(value)}.")
        return value


class Name(Text):
    """A name in Unicode's form NFKC, whatever form it was sent in."""

    def parse(self, value: Any) -> str:
        return super().parse(normalized(value) if type(value) is str else value)


class Choice(WireField, serializers.ChoiceField):
    """One of a few words."""

    def parse(self, value: Any) -> str:
        if type(value) is str and value in self.choices:
            return value
        *others, last = (f'"{choice}"' for choice in self.choices)
        raise WrongValue(f"must be {', '.join(others)} or {last}, not {shown(value)}.")


class LeaseId(WireField, serializers.UUIDField):
    """The opaque id of a lease, as /task/get returned it."""

    def parse(self, value: Any) -> str:
        if type(value) is not str:
            raise WrongValue(f"must be text, not {shown(value)}.")
        try:
            return str(serializers.UUIDField().to_internal_value(value))
        except serializers.ValidationError as error:
            raise WrongValue("must be the `lease` that /task/get returned.") from error


def shown(value: Any) -> str:
    """A value as error messages show it: short, in JSON's terms."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case int() | float():
            return str(value)
        case list():
            return "an array"
        case _:
            return "an object"


def quoted(text: str) -> str:
    """A text in quotation marks, cut where it is long."""
    return f'"{text[:40]}…"' if len(text) > 40 else f'"{text}"'
