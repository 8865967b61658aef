"""The clients' connections: what counts as answered, and the proxy that loses answers."""

import asyncio
import contextlib
from collections import Counter

import pytest

from chaos.client import LOST, NOT_SENT, TOO_LATE, Client
from chaos.ledger import Ledger
from chaos.proxy import Proxy
from tests.front.loops import on_loop

BODY = b'{"ok":true,"content":{"id":7}}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Chance:
    """Draws the same number again and again."""

    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number


class Tracker:
    """Answers each request with the same bytes, and remembers the requests."""

    def __init__(self, answer=GOOD):
        self.answer = answer
        self.requests = []
        self._serving = []

    @contextlib.asynccontextmanager
    async def listening(self):
        """Its port; at the end, all connections have ended."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*self._serving)
        # What has been closed is told to the transports by the loop.
        await asyncio.sleep(0)

    async def _serve(self, reader, writer):
        self._serving.append(asyncio.current_task())
        with contextlib.suppress(OSError):
            while request := await reader.read(1 << 16):
                self.requests.append(request)
                writer.write(self.answer)
        writer.transport.abort()


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def asked(tracker, ledger, *, times=1, chance=None, cutting=False, timeout=5.0):
    """What a client of this tracker is answered, and the counted statuses; through a proxy if there is a `chance`."""
    statuses = Counter()

    async def ask():
        async with tracker.listening() as port:
            proxy = Proxy(lambda: asyncio.open_connection("127.0.0.1", port), chance)
            proxy.is_cutting = cutting
            client = Client(0, ("127.0.0.1", port if chance is None else await proxy.start()), ledger, statuses)
            client.timeout = timeout
            try:
                return [await client.call("POST", "/task/submit", {"a": 1}) for _ in range(times)]
            finally:
                client.close()
                await proxy.stop()

    return on_loop(ask()), statuses


def test_it_works(ledger):
    tracker = Tracker()
    answers, statuses = asked(tracker, ledger, times=2)
    assert [(answer.status, answer.content, answer.is_good) for answer in answers] == [(200, {"id": 7}, True)] * 2
    assert tracker.requests[0].startswith(b"POST /task/submit HTTP/1.1\r\n")
    assert tracker.requests[0].endswith(b'\r\n\r\n{"a": 1}')
    assert statuses == {"200": 2}


@pytest.mark.parametrize(
    ("answer", "told", "changed_nothing"),
    [
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}", "429", True),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}", "503", False),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", "503 without Retry-After", False),
        (b"HTTP/1.1 500 Sorry\r\nContent-Length: 2\r\n\r\n{}", "500", False),
    ],
)
def test_refusals_are_told_apart(ledger, answer, told, changed_nothing):
    (found,), statuses = asked(Tracker(answer), ledger)
    assert statuses == {told: 1}
    assert found.changed_nothing is changed_nothing


def test_an_answer_that_takes_too_long_is_given_up(ledger):
    (found,), _ = asked(Tracker(b"HTTP/1.1 200 OK\r\n"), ledger, timeout=0.05)
    assert found.status == TOO_LATE
    assert not found.changed_nothing


def test_a_refused_connection_has_changed_nothing(ledger):
    async def ask():
        async with Tracker().listening() as port:
            pass
        return await Client(0, ("127.0.0.1", port), ledger, Counter()).call("GET", "/")

    answer = on_loop(ask())
    assert answer.status == NOT_SENT
    assert answer.changed_nothing


def test_the_proxy_passes_everything_on(ledger):
    tracker = Tracker()
    answers, _ = asked(tracker, ledger, times=3, chance=Chance(1.0), cutting=True)
    assert [answer.status for answer in answers] == [200] * 3


@pytest.mark.parametrize("number", [0.0, 0.29])
def test_a_request_whose_answer_is_cut_off_has_arrived(ledger, number):
    tracker = Tracker()
    (answer,), statuses = asked(tracker, ledger, chance=Chance(number), cutting=True)
    assert answer.status == LOST
    assert not answer.changed_nothing
    assert statuses == {"answer lost": 1}


def test_a_wait_for_an_answer_is_a_gap_from_the_first_try_on(ledger, monkeypatch):
    monkeypatch.setattr("chaos.client.SHORTEST_GAP", 0.0)
    statuses = Counter()

    async def ask():
        tracker = Tracker(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}")
        async with tracker.listening() as port:
            client = Client(4, ("127.0.0.1", port), ledger, statuses)
            first = await client.call("GET", "/")
            tracker.answer = GOOD
            second = await client.call("GET", "/")
            client.close()
            return first.sent, second.answered

    sent, answered = on_loop(ask())
    ledger.complete()
    assert list(ledger.sql("SELECT * FROM gap")) == [(4, sent, answered)]
