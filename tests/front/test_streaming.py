"""Streaming responses: made part by part, as fast as they are read, in whatever thread is free."""

import asyncio
import threading

from django.http import StreamingHttpResponse

from tests.front.loops import on_loop
from tests.front.serving import serving
from tracker.front import bridge
from tracker.front.bridge import WsgiBridge
from tracker.front.pool import Pool, PoolBusy

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PART = b"x" * 1024 * 1024


class Endless:
    """A stream that tells how many of its parts were made, in which threads, and whether it was closed."""

    def __init__(self, most=10**6):
        self.made, self.most = 0, most
        self.threads = set()
        self.closed = threading.Event()

    def application(self, environ, start_response):
        if environ["PATH_INFO"] != "/":
            start_response("200 OK", [("Content-Length", "1")])
            return [b"."]
        start_response("200 OK", [("Content-Type", "application/jsonl")])
        response = StreamingHttpResponse(iter(self._next, None))
        close = response.close
        response.close = lambda: (close(), self.closed.set())
        return response

    def _next(self):
        self.threads.add(threading.current_thread().name)
        if self.made == self.most:
            return None
        self.made += 1
        return PART


def run(application, scenario, *, pool=Pool):
    async def main():
        threads = pool(threads=1, waiting=4, patience=20)
        try:
            async with serving(WsgiBridge(application, threads, lambda path: 0)) as server:
                return await asyncio.wait_for(scenario(server), 20)
        finally:
            threads.shutdown()

    return on_loop(main())


async def is_closed(stream):
    while not stream.closed.is_set():
        await asyncio.sleep(0.01)


def test_it_works():
    stream = Endless(most=3)

    async def scenario(server):
        reader, _ = await server.connect(CLOSING)
        content = await reader.read()
        await is_closed(stream)
        return content

    content = run(stream.application, scenario)
    assert b"transfer-encoding: chunked" in content.lower()
    assert content.count(b"x" * 1024) >= 3 * 1024 - 3
    assert content.endswith(b"0\r\n\r\n")
    assert threading.current_thread().name not in stream.threads


def test_who_reads_slowly_takes_no_thread():
    """A part that nobody reads is the last one that is made, and the only thread answers others meanwhile."""
    stream = Endless()

    async def scenario(server):
        await server.connect(GET)
        while stream.made < 2:
            await asyncio.sleep(0.01)
        for _ in range(20):
            reader, _writer = await server.connect(GET.replace(b"/", b"/other", 1))
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
        made = stream.made
        server.clients[0].transport.abort()
        await is_closed(stream)
        return made

    # What the sockets' buffers hold.
    assert run(stream.application, scenario) < 50


def test_nothing_is_made_for_a_client_that_has_gone():
    stream = Endless()

    async def scenario(server):
        reader, writer = await server.connect(GET)
        await reader.readexactly(len(PART))
        writer.transport.abort()
        await is_closed(stream)

    run(stream.application, scenario)
    assert stream.made < 50


class OftenBusy(Pool):
    """Has no thread and no place in the queue at every other call."""

    calls = 0

    async def run(self, function, *arguments):
        self.calls += 1
        if self.calls % 2 == 0:
            raise PoolBusy
        return await super().run(function, *arguments)


def test_a_stream_waits_until_there_is_a_thread(monkeypatch):
    monkeypatch.setattr(bridge, "AGAIN_SECONDS", 0.001)
    stream = Endless(most=5)

    async def scenario(server):
        reader, _ = await server.connect(CLOSING)
        content = await reader.read()
        await is_closed(stream)
        return content

    assert run(stream.application, scenario, pool=OftenBusy).endswith(b"0\r\n\r\n")
    assert stream.made == 5
