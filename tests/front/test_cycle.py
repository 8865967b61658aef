"""Workers' calls on their connections: in the order of the requests, and bounded by what the client reads."""

import asyncio
import socket
import struct

import pytest

from tests.front.loops import on_loop
from tests.front.serving import serving
from tests.front.test_protocol import hello
from tracker.api.envelope import Reply

CALL = b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
PAGE = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"


def call(body):
    return CALL % (len(body), body)


class Calls:
    """Answers requests for /call with their bodies, when it is let."""

    def __init__(self, *, at_once):
        self.at_once = at_once
        self.begun = []
        self.hurries = 0

    def find(self, method, address, headers, size):
        return address if address == b"/call" else None

    def answer(self, found, body, done):
        self.begun.append(body)
        if self.at_once:
            done(Reply({"body": body.decode()}, headers={"Retry-After": "2"}))
        else:
            self.finish = lambda: done(Reply({"body": body.decode()}))
        return self

    def hurry(self):
        """As if the call had waited for something."""
        self.hurries += 1
        self.finish()


def run(scenario, *, at_once=True):
    calls = Calls(at_once=at_once)

    async def main():
        async with serving(hello, calls=calls) as server:
            return await scenario(server, calls)

    return on_loop(main())


async def read_until(reader, end):
    return await asyncio.wait_for(reader.readuntil(end), 30)


def test_it_works():
    async def scenario(server, calls):
        # As uvicorn's server does every second.
        server.state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        reader, _ = await server.connect(call(b"one"))
        return await read_until(reader, b"}}\n")

    head, _, body = run(scenario).partition(b"\r\n\r\n")
    assert body == b'{"ok":true,"content":{"body":"one"}}\n'
    status, *fields = head.decode().split("\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert {
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Retry-After: 2",
        f"Content-Length: {len(body)}",
    } <= set(fields)
    assert any(field.startswith("date: ") for field in fields)
    assert not any(field.startswith("Connection") for field in fields)


def test_a_body_in_parts():
    async def scenario(server, calls):
        reader, writer = await server.connect(call(b"abcdef")[:-4])
        await server.received()
        assert calls.begun == []
        writer.write(b"cdef")
        return await read_until(reader, b"}}\n")

    assert b'"abcdef"' in run(scenario)


def test_pipelined_ones_are_answered_in_order():
    async def scenario(server, calls):
        reader, _ = await server.connect(call(b"one") + PAGE + call(b"two") + call(b"three") + PAGE)
        text = b""
        while text.count(b"HTTP/1.1 200") < 5 or not text.endswith(b"\r\n\r\n0"):
            text += await asyncio.wait_for(reader.read(4096), 30)
        return text

    bodies = [part.partition(b"\r\n\r\n")[2] for part in run(scenario).split(b"HTTP/1.1 200 OK")[1:]]
    assert [b"one" in bodies[0], bodies[1], b"two" in bodies[2], b"three" in bodies[3], bodies[4]] == [
        True,
        b"0",
        True,
        True,
        b"0",
    ]


def test_the_next_one_waits_for_the_answer():
    async def scenario(server, calls):
        reader, _ = await server.connect(call(b"one") + call(b"two"))
        await server.received()
        assert calls.begun == [b"one"]
        calls.finish()
        await read_until(reader, b"}}\n")
        await server.received()
        assert calls.begun == [b"one", b"two"]

    run(scenario, at_once=False)


def test_nothing_is_begun_for_a_client_that_does_not_read():
    async def scenario(server, calls):
        reader, writer = await server.connect(call(b"one"))
        await read_until(reader, b"}}\n")
        (connection,) = server.state.connections
        connection.pause_writing()
        writer.write(call(b"two"))
        await server.received()
        assert calls.begun == [b"one"]
        connection.resume_writing()
        assert b"two" in await read_until(reader, b"}}\n")

    run(scenario)


@pytest.mark.parametrize(
    "request_", [call(b"x").replace(b"Host", b"Connection: close\r\nHost"), call(b"x").replace(b"1.1", b"1.0")]
)
def test_the_last_one(request_):
    async def scenario(server, calls):
        reader, _ = await server.connect(request_)
        return await reader.read()

    assert b"Connection: close" in run(scenario)


@pytest.mark.parametrize("how", ["the process stops", "the client has sent everything", "the client resets"])
def test_a_call_that_waits(how):
    """It is answered at once where nothing is worth waiting for; but to a client that may still read."""

    async def scenario(server, calls):
        reader, writer = await server.connect(call(b"x"))
        await server.received()
        (connection,) = server.state.connections
        if how == "the process stops":
            connection.shutdown()
        elif how == "the client has sent everything":
            writer.write_eof()
        else:
            reset(writer)
        while calls.hurries == 0:
            await asyncio.sleep(0)
        return b"" if how == "the client resets" else await reader.read()

    answer = run(scenario, at_once=False)
    assert (b"Connection: close" in answer) == (how != "the client resets")


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
