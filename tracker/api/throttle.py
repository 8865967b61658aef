"""Rate limits per client address, counted by django-ratelimit."""

import functools
import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage

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
    count(request, group=group, key=counted_address(client_address(request)), rate=rate)


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
    """The client's IP address.

    X-Forwarded-For is trusted only as far as TRUSTED_PROXIES wrote it: its last address that is not such a proxy is the
    client. The client itself may have sent everything before that.
    """
    address = _plain(str(request.META.get("REMOTE_ADDR", "")))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while hops and is_trusted_proxy(address):
        address = _plain(hops.pop())
    return address


def _plain(address: str) -> str:
    """The address in its usual form; ::ffff:1.2.3.4, as a dual-stack socket reports it, becomes 1.2.3.4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def counted_address(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 address.

    An IPv6 client can send from any address of such a network.
    """
    address = _plain(address)
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    # A link-local address has a zone, such as fe80::1%eth0.
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


def is_trusted_proxy(address: str) -> bool:
    """Whether this is the address of a proxy in TRUSTED_PROXIES."""
    # A server that listens on a Unix socket sees no address; only a proxy on this machine reaches it.
    try:
        parsed = ipaddress.ip_address(address or "127.0.0.1")
    except ValueError:
        return False
    return any(parsed in network for network in settings.TRUSTED_PROXIES)
