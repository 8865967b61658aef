"""Connections on the event loop: deadlines and bounds. The clock is handed in, so nothing waits."""

import asyncio
import json
from ipaddress import ip_network

import pytest

from tests.front.loops import on_loop
from tests.front.serving import serving
from tracker.front.limits import Limits
from tracker.front.worker import TrustedProxies

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def hello(scope, receive, send):
    """Reads the body and answers its length."""
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        length += len(message["body"])
        if not message["more_body"]:
            break
    body = b"%d" % length
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def run(scenario, application=hello, proxies=(), **limits):
    async def main():
        async with serving(application, limits=Limits(**limits), proxies=proxies) as server:
            return await scenario(server)

    return on_loop(main())


def parsed(answer):
    """Status and envelope of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"cache-control: no-store" in head.lower()
    return int(head.split()[1]), json.loads(body)


def test_it_works():
    async def scenario(server):
        reader, writer = await server.connect(GET)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return await reader.read()

    assert [part.split(b"\r\n\r\n")[-1] for part in run(scenario).split(b"HTTP/1.1 200 OK")][1:] == [b"0", b"3", b"0"]


@pytest.mark.parametrize(
    ("sent", "seconds", "status", "told"),
    [
        (b"", 10, None, None),
        (b"G", 10, 408, "head"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", 10, 408, "head"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc", 10, 400, "too slowly"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc", 30, 400, "too slowly"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 345, 400, "too slowly"),
    ],
    ids=["nothing", "one byte", "half a head", "half a body", "a larger body", "chunks"],
)
def test_what_does_not_come(sent, seconds, status, told):
    async def scenario(server):
        reader, _ = await server.connect(sent)
        await server.received()
        server.after(seconds - 1)
        await asyncio.sleep(0)
        assert len(server.state.connections) == 1
        server.after(seconds + 2)
        return await reader.read()

    answer = run(scenario)
    if status is None:
        assert answer == b""
    else:
        found, envelope = parsed(answer)
        assert found == status
        assert told in envelope["message"]


def test_idle_between_requests():
    async def scenario(server):
        reader, _ = await server.connect(GET)
        await reader.readuntil(b"\r\n\r\n0")
        await server.received()
        server.after(28)
        await asyncio.sleep(0)
        assert len(server.state.connections) == 1
        server.after(31)
        return await reader.read()

    assert run(scenario) == b""


async def endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})


def test_a_response_that_nobody_reads():
    async def scenario(server):
        _, writer = await server.connect(GET)
        writer.transport.pause_reading()
        await server.received()
        (connection,) = server.state.connections
        while not connection.flow.write_paused:
            await asyncio.sleep(0.001)
        assert connection.transport.get_write_buffer_size() < 200_000
        server.after(29)
        assert not connection.transport.is_closing()
        server.after(31)
        assert connection.transport.is_closing()
        while server.state.tasks:
            for task in server.state.tasks:
                task.cancel()
            await asyncio.sleep(0)

    run(scenario, endless)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + b"x" * 9_000, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_what_is_refused(sent, status):
    async def scenario(server):
        reader, _ = await server.connect(sent)
        return await reader.read()

    assert parsed(run(scenario))[0] == status


def test_pipelined_requests_are_bounded():
    begun = []

    async def slow(scope, receive, send):
        begun.append(scope)
        await asyncio.Event().wait()

    async def scenario(server):
        reader, _ = await server.connect(GET * 5_000)
        answer = await reader.read()
        for task in server.state.tasks:
            task.cancel()
        return answer

    assert parsed(run(scenario, slow, pipelined=8))[0] == 400
    assert len(begun) == 1


@pytest.mark.parametrize("limits", [{"connections": 2}, {"per_address": 2}])
def test_connections_are_bounded(limits):
    async def scenario(server):
        for _ in range(2):
            await server.connect()
        await server.received(2)
        reader, _ = await server.connect()
        refusal = await reader.read()
        # When one has gone, there is room again.
        server.clients[0].transport.abort()
        while len(server.state.connections) > 1:
            await asyncio.sleep(0)
        reader, _ = await server.connect(GET)
        return refusal, await reader.readuntil(b"\r\n\r\n0")

    refusal, answer = run(scenario, **limits)
    assert parsed(refusal)[0] == 503
    assert b"retry-after: 1" in refusal.lower()
    assert answer.startswith(b"HTTP/1.1 200")


def test_clients_behind_a_proxy_are_bounded(settings):
    """Of each, so many requests at a time; the proxy's connections don't count."""
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    release = []

    async def slow(scope, receive, send):
        await release[0].wait()
        await hello(scope, receive, send)

    def request(client):
        return GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.9, %s\r\n\r\n" % client)

    async def scenario(server):
        release.append(asyncio.Event())
        waiting = [(await server.connect(request(b"203.0.113.7:%d" % port)))[0] for port in (1, 2)]
        await server.received(2)
        reader, _ = await server.connect(request(b"203.0.113.7"))
        refusal = await reader.read()
        other, _ = await server.connect(request(b"203.0.113.8"))
        release[0].set()
        for one in [*waiting, other]:
            assert (await one.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        # The first two have been answered.
        reader, _ = await server.connect(request(b"203.0.113.7"))
        await reader.readuntil(b"\r\n\r\n0")
        return refusal

    assert parsed(run(scenario, slow, per_address=2, proxies=TrustedProxies()))[0] == 503


def test_the_last_response_of_a_process_says_so():
    async def scenario(server):
        reader, writer = await server.connect(GET)
        first = await reader.readuntil(b"\r\n\r\n0")
        for connection in server.state.connections:
            connection.shutdown()
        writer.write(GET)
        return first, await reader.read()

    first, last = run(scenario)
    assert b"connection: close" not in first
    assert b"connection: close" in last
    assert last.endswith(b"\r\n\r\n0")


async def refusing(scope, receive, send):
    """Answers without reading the body, as the application does when it is too large."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"large"})


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
def test_a_refusal_arrives_while_the_client_sends(connection):
    length = 8_000_000

    async def scenario(server):
        reader, writer = await server.connect(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n" % (connection, length)
        )
        # All of it before the client looks for an answer.
        writer.write(b"x" * length)
        await writer.drain()
        while writer.transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
        answer = await reader.readuntil(b"\r\n\r\nlarge")
        if connection == b"close":
            return answer, await reader.read()
        writer.write(GET)
        return answer, await reader.readuntil(b"\r\n\r\nlarge")

    answer, more = run(scenario, refusing)
    assert answer.startswith(b"HTTP/1.1 413")
    assert more == b"" or more.startswith(b"HTTP/1.1 413")


def test_the_last_response_is_read_slowly():
    length = 30_000_000

    async def large(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]})
        await send({"type": "http.response.body", "body": b"x" * length})

    async def scenario(server):
        reader, writer = await server.connect(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        writer.transport.pause_reading()
        await server.received()
        (connection,) = server.state.connections
        assert connection.is_lingering
        assert connection.transport.get_write_buffer_size()
        server.after(10)
        assert not connection.transport.is_closing()
        writer.transport.resume_reading()
        return await reader.read()

    assert run(scenario, large).endswith(b"x" * length)
