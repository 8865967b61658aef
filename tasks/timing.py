"""When a submitted task becomes ready, and when it expires."""

from typing import Any

import orjson
from rest_framework.fields import FloatField

from tracker.api.errors import InvalidField
from tracker.api.fields import WireField, WrongValue, shown

# The end of the year 9999, in Unix seconds: Python knows no later time.
LAST_MOMENT = 253_402_300_799
# Ten years in seconds.
LONGEST = 3650 * 86_400

NAMES = ("run_at", "delay", "expires_at", "expires_in")


class Moment(WireField, FloatField):
    """A time in Unix seconds, which may be a fraction."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=LAST_MOMENT, **options)

    def parse(self, value: Any) -> float:
        if type(value) in (int, float) and 0 <= value <= LAST_MOMENT:
            return float(value)
        raise WrongValue(f"must be a time in Unix seconds, from 0 to {LAST_MOMENT}, not {shown(value)}.")


class Duration(WireField, FloatField):
    """A number of seconds, which may be a fraction: at most `longest`."""

    def __init__(self, *, longest: float = LONGEST, **options: Any) -> None:
        super().__init__(min_value=0, max_value=longest, **options)
        self.longest = longest

    def parse(self, value: Any) -> float:
        if type(value) in (int, float) and 0 <= value <= self.longest:
            return float(value)
        raise WrongValue(f"must be a number of seconds from 0 to {self.longest:.0f}, not {shown(value)}.")


def take_timing(values: dict[str, Any]) -> None:
    """Put the values that NAMES name into `timing`, as JSON text, or None if there are none. Raises InvalidField."""
    run_at, delay, expires_at, expires_in = (values.pop(name) for name in NAMES)
    if run_at is not None and delay is not None:
        raise InvalidField("delay", "can't be combined with run_at; send only one of them.")
    if expires_at is not None and expires_in is not None:
        raise InvalidField("expires_in", "can't be combined with expires_at; send only one of them.")
    if run_at is not None and expires_at is not None and expires_at <= run_at:
        raise InvalidField("expires_at", "must be later than run_at, or the task could never be leased.")
    if delay is not None and expires_in is not None and expires_in <= delay:
        raise InvalidField("expires_in", "must be longer than delay, or the task could never be leased.")
    told = dict(zip(NAMES, (run_at, delay, expires_at, expires_in), strict=True))
    told = {name: value for name, value in told.items() if value is not None}
    values["timing"] = orjson.dumps(told).decode() if told else None
