"""Typed readers of environment variables. Their errors name the variable and the values that it accepts."""

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable's value, without surrounding whitespace."""
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
    """A comma-separated list, each item one of `allowed`."""
    items = listing(name, default)
    for item in items:
        if item not in allowed:
            raise ImproperlyConfigured(f"{name}: {item!r} is not one of {', '.join(allowed)}.")
    return items


def listing(name: str, default: str = "") -> list[str]:
    """A comma-separated list; whitespace around items and empty items are dropped."""
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


def rate(name: str, default: str) -> str:
    """A rate in django-ratelimit's format, such as 10/m, 5/30s or 100/h; empty for no limit."""
    value = text(name, default)
    if value and not re.fullmatch(r"[0-9]+/[0-9]*[smhd]", value):
        raise ImproperlyConfigured(f"{name}: must be a rate such as 10/m or 100/h, or empty, not {value!r}.")
    return value


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Comma-separated addresses or networks, such as 10.0.0.7 or 10.0.0.0/8."""
    found = []
    for item in listing(name):
        try:
            found.append(ipaddress.ip_network(item, strict=False))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {item!r} is not an IP address or network.") from error
    return found


def origins(name: str) -> list[str]:
    """Comma-separated origins as browsers send them, such as https://example.org."""
    for item in listing(name):
        parts = urlsplit(item)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            raise ImproperlyConfigured(f"{name}: {item!r} is not an origin such as https://example.org.")
    return listing(name)


def folder(name: str, default: Path) -> Path:
    """A folder for the tracker's files, created if it doesn't exist; only its owner can enter a new one."""
    path = Path(text(name) or default).resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: {path} can't be created: {error.strerror}.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name}: {path} can't be written to.")
    return path


def database_url(name: str) -> str:
    """The URL of a PostgreSQL database; empty for the embedded one."""
    value = text(name)
    parts = urlsplit(value)
    if value and (parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/")):
        raise ImproperlyConfigured(f"{name}: must be like postgres://user:password@host:5432/database.")
    return value
