"""Rate limits per client address, counted by django-ratelimit."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from tracker import addresses
from tracker.api.errors import RateLimited

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Handler = TypeVar("Handler", bound=Callable[..., Any])


def throttled(group: str, *, rate_setting: str) -> Callable[[Handler], Handler]:
    """Limit an API view's method per client address, at the rate that the setting has when a request arrives."""

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def wrapper(view: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            count_address(request._request, group=group, rate=getattr(settings, rate_setting))
            return handler(view, request, *args, **kwargs)

        return wrapper  # type: ignore[return-value]

    return decorate


def count_address(request: HttpRequest, *, group: str, rate: str) -> None:
    """Count one request from the client's address against `rate`. Raises RateLimited."""
    count(request, group=group, key=addresses.counted(client_address(request)), rate=rate)


def count(request: HttpRequest, *, group: str, key: str, rate: str) -> None:
    """Count one request against `rate`, such as "10/m"; an empty rate means no limit. Raises RateLimited."""
    if not rate:
        return
    usage = get_usage(request, group=group, key=lambda _group, _request: key, rate=rate, increment=True)
    if usage and usage["should_limit"]:
        delay = float(max(usage["time_left"], 1))
        raise RateLimited(delay=delay, message=f"Too many requests from {key}; wait {delay:.0f} seconds.")


def parsed_rate(rate: str) -> tuple[int | None, int]:
    """A rate in django-ratelimit's format as how many there may be, None for any number, in how many seconds."""
    if not rate:
        return None, 1
    most, _, period = rate.partition("/")
    return int(most), int(period[:-1] or 1) * _SECONDS[period[-1]]


def client_address(request: HttpRequest) -> str:
    """The client's IP address, also behind trusted proxies."""
    return addresses.client(str(request.META.get("REMOTE_ADDR", "")), [request.META.get("HTTP_X_FORWARDED_FOR", "")])
