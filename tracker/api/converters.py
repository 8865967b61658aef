"""Path converters. tracker.apps registers them before any URLconf is loaded."""

from tracker.api.fields import INT64


class IdConverter:
    """An id in a path: a number that fits a bigint column."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        number = int(value)
        if number > INT64[1]:
            raise ValueError
        return number

    def to_url(self, value: int) -> str:
        return str(value)
