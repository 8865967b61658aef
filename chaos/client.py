"""A client with a persistent connection. It tells an answer from a lost one, and measures for how long it had none."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from benchmarks.client import BLOCK, LoadError, Reply
from chaos.ledger import Gap, Ledger

TIMEOUT_SECONDS = 15.0
# Shorter waits are not worth a line in the ledger.
SHORTEST_GAP = 0.2

#: In place of a status: the request was not sent; or it was, and the connection or the client's patience ended before
#: its answer.
NOT_SENT, LOST, TOO_LATE = 0, -1, -2
TOLD = {NOT_SENT: "not connected", LOST: "answer lost", TOO_LATE: f"no answer in {TIMEOUT_SECONDS:g} s"}


@dataclass(frozen=True)
class Answer:
    """What came back for a request, or why nothing did."""

    status: int
    body: dict[str, Any]
    sent: float
    answered: float
    head: bytes = b""

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.get("content") or {}
        return found

    @property
    def is_good(self) -> bool:
        """Whether the tracker has decided about the request, be it a refusal."""
        return 200 <= self.status < 500

    @property
    def changed_nothing(self) -> bool:
        """Whether it is certain that the request had no effect."""
        return self.status == NOT_SENT or 400 <= self.status < 500


class Client:
    """Sends one request at a time. `statuses` counts what all clients were answered."""

    def __init__(self, number: int, address: tuple[str, int], ledger: Ledger, statuses: Counter[str]) -> None:
        self.number = number
        self.headers: dict[str, str] = {}
        self.timeout = TIMEOUT_SECONDS
        self._address = address
        self._ledger, self._statuses = ledger, statuses
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._waiting_since: float | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, patience: float = 0.0, key: str | None = None
    ) -> Answer:
        """Send a request once. `patience` is how long the tracker may wait before it answers.

        With a `key`, it may be sent again under the same one without a second effect.
        """
        request = self._request(method, path, body, key)
        sent = time.time()
        reply = Reply()
        status, content = NOT_SENT, b""
        try:
            async with asyncio.timeout(self.timeout + patience):
                reader, writer = await self._connected()
                # From here on, it may arrive.
                status = LOST
                writer.write(request)
                await writer.drain()
                while (read := reply.feed(await reader.read(BLOCK))) is None:
                    pass
                status, content = reply.status, read
        except TimeoutError:
            status = TOO_LATE if status == LOST else status
            self.close()
        except (OSError, LoadError):
            self.close()
        answer = Answer(status, _parsed(content), sent, time.time(), reply.head)
        if b"connection: close" in answer.head.lower():
            self.close()
        self._note(answer, patience)
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        return self._streams

    def _request(self, method: str, path: str, body: Any, key: str | None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Host": self._address[0], **self.headers, "Content-Length": str(len(content))}
        if key is not None:
            headers["Idempotency-Key"] = key
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content

    def _note(self, answer: Answer, patience: float) -> None:
        told = TOLD.get(answer.status, str(answer.status))
        if answer.status in (429, 503) and b"retry-after:" not in answer.head.lower():
            told += " without Retry-After"
        self._statuses[told] += 1
        if self._waiting_since is None:
            self._waiting_since = answer.sent + patience
        if answer.is_good:
            if answer.answered - self._waiting_since >= SHORTEST_GAP:
                self._ledger.add(Gap(self.number, self._waiting_since, answer.answered))
            self._waiting_since = None


def _parsed(content: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict):
            return found
    return {}
