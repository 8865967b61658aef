"""The addresses of clients: as sockets and proxies write them, and what counts as one client."""

import ipaddress
from collections.abc import Iterable

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def plain(text: str) -> str:
    """An address in its usual form, without what proxies may add to it: a port, brackets, quotes, blanks.

    ::ffff:1.2.3.4, as a dual-stack socket reports it, becomes 1.2.3.4. Other text comes back as it is.
    """
    parsed = _parsed(text)
    return text if parsed is None else str(parsed)


def client(peer: str, forwarded: Iterable[str]) -> str:
    """The client's address: the one that is connected or, if that is a trusted proxy, the one that it names.

    `forwarded` are the values of X-Forwarded-For. It is trusted only as far as TRUSTED_PROXIES wrote it: its last
    address that is not such a proxy is the client. The client itself may have sent everything before that.
    """
    address = plain(peer)
    hops = [hop.strip() for value in forwarded for hop in value.split(",") if hop.strip()]
    while hops and is_trusted_proxy(address):
        address = plain(hops.pop())
    return address


def counted(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 address.

    An IPv6 client can send from any address of such a network.
    """
    parsed = _parsed(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    # A link-local address has a zone, such as fe80::1%eth0.
    return str(ipaddress.ip_network(f"{str(parsed).partition('%')[0]}/64", strict=False))


def is_trusted_proxy(address: str) -> bool:
    """Whether this is the address of a proxy in TRUSTED_PROXIES."""
    # A server that listens on a Unix socket sees no address; only a proxy on this machine reaches it.
    parsed = _parsed(address or "127.0.0.1")
    return parsed is not None and any(parsed in network for network in settings.TRUSTED_PROXIES)


def _parsed(text: str) -> Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
