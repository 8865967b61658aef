"""Typed readers of environment variables. Each fails loudly, naming the variable and what it takes."""

import os

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable as it stands, without surrounding blanks."""
    return os.environ.get(name, default).strip()


def flag(name: str, *, default: bool = False) -> bool:
    """A switch: 1/true/yes/on or 0/false/no/off, in any case; empty means off."""
    value = os.environ.get(name)
    if value is None:
        return default
    folded = value.strip().lower()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name}: must be on or off, not {value!r}.")


def whole_number(name: str, default: int, *, low: int = 0, high: int = 2**31 - 1) -> int:
    """A whole number within [low, high]."""
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        raise ImproperlyConfigured(f"{name}: must be a whole number from {low} to {high}, not {value!r}.")
    return number


def choices(name: str, default: str, *, allowed: tuple[str, ...]) -> list[str]:
    """A list separated by commas, each item one of `allowed`."""
    items = listing(name, default)
    for item in items:
        if item not in allowed:
            raise ImproperlyConfigured(f"{name}: {item!r} is not one of {', '.join(allowed)}.")
    return items


def listing(name: str, default: str = "") -> list[str]:
    """A list separated by commas; blanks around items and empty items are dropped."""
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]
