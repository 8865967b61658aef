"""The listening socket, which outlives the processes that accept connections from it."""

import contextlib
import ctypes
import logging
import socket
import struct
import sys
import time

logger = logging.getLogger("tracker.serve")

BACKLOG = 2048
# A connection is established when the client's last packet of the handshake has come: a round trip later.
ROUND_TRIP_SECONDS = 0.1

_SO_ATTACH_FILTER = 26
# A program of the kernel's packet filter, as tcpdump -d prints them: drop packets that open a connection (SYN without
# ACK, in byte 13 of the TCP header), let all others pass. Each instruction: code, jump if true, jump if false, operand.
_NO_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


class CanNotListen(Exception):
    """The address can't be listened on."""


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. Raises CanNotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            on_failure.pop_all()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise CanNotListen(
            f"Can't listen on {host}:{port} ({reason}). Stop the program that uses it, or set PORT or HOST."
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """The URL of the listener, as seen from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def close_to_new_connections(listener: socket.socket, *, seconds: float) -> None:
    """Close it once the web processes have accepted every connection that the kernel has established.

    The kernel resets those that nobody has accepted when the last process closes the socket, though their clients may
    have sent a request. Therefore it first has the kernel ignore whoever comes now. They try again by themselves, and
    are then refused, or reach the next tracker that listens here. Takes at most `seconds`.
    """
    deadline = time.monotonic() + seconds
    if sys.platform == "linux":
        try:
            _attach(listener, _NO_NEW_CONNECTIONS)
            time.sleep(min(ROUND_TRIP_SECONDS, seconds))
            while _established(listener) and time.monotonic() < deadline:
                time.sleep(0.01)
        except OSError as error:
            logger.warning("The kernel's packet filter can't be used: %s", error)
    listener.close()


def _attach(listener: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


def _established(listener: socket.socket) -> int:
    """How many connections wait to be accepted: of a listening socket, tcpi_unacked of the kernel's struct tcp_info."""
    information = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("I", information, 8 + 4 * 4)[0])
