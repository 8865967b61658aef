"""Typed readers of environment variables. Their errors name the variable and the values that it accepts."""

import importlib.util
import ipaddress
import os
import re
import shlex
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

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
    if value and not re.fullmatch(r"[0-9]{1,9}/([1-9][0-9]{0,4})?[smhd]", value):
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
        parts = _split(item)
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
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


def file(name: str, default: Path) -> str:
    """The absolute path of a file that this process may append to, or create; empty for none."""
    value = text(name, str(default))
    if not value:
        return ""
    path = Path(value).absolute()
    if not path.parent.is_dir():
        raise ImproperlyConfigured(f"{name}: the folder {path.parent} does not exist.")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ImproperlyConfigured(f"{name}: {path} can't be written to.")
    return str(path)


def arguments(name: str) -> str:
    """Arguments for a program, quoted as for a shell."""
    value = text(name)
    try:
        shlex.split(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {str(error).lower()} in {value!r}.") from error
    return value


def database_url(name: str) -> str:
    """The URL of a PostgreSQL database; empty for the embedded one. The error doesn't show the value: the password."""
    value = text(name)
    parts = _split(value)
    if value and (parts is None or parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/")):
        raise ImproperlyConfigured(f"{name}: must be like postgres://user:password@host:5432/database.")
    return value


def redis_url(name: str) -> str:
    """The URL of a Redis server, for which the package redis must be installed; empty for none."""
    value = text(name)
    if not value:
        return ""
    parts = _split(value)
    if parts is None or parts.scheme not in ("redis", "rediss", "unix") or not (parts.netloc or parts.path):
        raise ImproperlyConfigured(f"{name}: must be like redis://host:6379/0.")
    if importlib.util.find_spec("redis") is None:
        raise ImproperlyConfigured(f"{name}: the package redis is not installed: pip install redis.")
    return value


def _split(url: str) -> SplitResult | None:
    """The parts of a URL, or None if it has none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
