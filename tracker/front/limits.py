"""What clients may take."""

from collections import Counter
from typing import NamedTuple

from tracker import addresses


class Limits(NamedTuple):
    """What a client may take. Times in seconds.

    `head_seconds` for a request's head, `body_seconds` for its body and one more second for every `body_rate` bytes,
    `idle_seconds` between requests, `unread_seconds` while a response waits to be read. `body_bytes` is the largest
    body that any call takes. `connections` per process, `per_address` of these from one address.
    """

    head_seconds: float = 10.0
    body_seconds: float = 10.0
    body_rate: int = 50_000
    body_bytes: int = 16 * 1024 * 1024
    idle_seconds: float = 30.0
    unread_seconds: float = 30.0
    head_bytes: int = 64 * 1024
    address_bytes: int = 8 * 1024
    pipelined: int = 16
    connections: int = 10_000
    per_address: int = 4_000


class Clients:
    """How much each client has at the moment: connections, or requests where a proxy stands between.

    A client is what the rate limits count as one: of IPv6, a whole network.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def enter(self, address: str) -> tuple[str, int]:
        """Count one more for the client with this address. Returns the client, and how many it has now."""
        client = addresses.counted(address)
        self._counts[client] += 1
        return client, self._counts[client]

    def leave(self, client: str) -> None:
        """Count one less."""
        if self._counts[client] > 1:
            self._counts[client] -= 1
        else:
            del self._counts[client]
