"""Requests on their way to the synchronous application."""

import asyncio

import pytest

from tests.front.loops import on_loop
from tests.front.serving import serving
from tracker.front.bridge import WsgiBridge
from tracker.front.pool import Pool

LIMIT = 10


def length_of_body(environ, start_response):
    """Answers how long the body is, and 413 to one that is announced as too long."""
    announced = int(environ.get("CONTENT_LENGTH") or 0)
    body = b"%d" % len(environ["wsgi.input"].read())
    status = "413 Content Too Large" if announced > LIMIT else "200 OK"
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]


def run(scenario):
    async def main():
        pool = Pool(threads=1, waiting=4, patience=20)
        try:
            async with serving(WsgiBridge(length_of_body, pool, lambda path: LIMIT)) as server:
                return await asyncio.wait_for(scenario(server), 20)
        finally:
            pool.shutdown()

    return on_loop(main())


def post(length, body=b"", fields=b""):
    return b"POST / HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s" % (fields, length, body)


async def head_of(reader):
    return (await reader.readuntil(b"\r\n\r\n")).lower()


EXPECT = b"Expect: 100-continue\r\n"


def test_it_works():
    async def scenario(server):
        reader, _ = await server.connect(post(3, b"abc"))
        await head_of(reader)
        return await reader.readexactly(1)

    assert run(scenario) == b"3"


@pytest.mark.parametrize("sent", [b"", b"x" * 50], ids=["client that waits", "client that does not wait"])
def test_refused_before_the_body_was_asked_for(sent):
    """The client won't send it, or has already: either way, nothing that follows is taken for a request."""

    async def scenario(server):
        reader, _ = await server.connect(post(50, sent, EXPECT))
        head = await head_of(reader)
        return head, await reader.read()

    head, rest = run(scenario)
    assert head.startswith(b"http/1.1 413 ")
    assert b"connection: close" in head
    assert rest == b"0"


def test_a_body_that_is_taken_is_asked_for():
    async def scenario(server):
        reader, writer = await server.connect(post(3, b"", EXPECT))
        first = await head_of(reader)
        writer.write(b"abc")
        return first, await head_of(reader), await reader.readexactly(1)

    first, head, body = run(scenario)
    assert first.startswith(b"http/1.1 100 ")
    assert b"connection: close" not in head
    assert body == b"3"


def test_a_refused_body_that_is_sent_all_the_same_leaves_the_connection_usable():
    async def scenario(server):
        reader, _ = await server.connect(post(50, b"x" * 50) + post(3, b"abc"))
        heads = [await head_of(reader)]
        await reader.readexactly(1)
        return [*heads, await head_of(reader)], await reader.readexactly(1)

    (first, second), body = run(scenario)
    assert first.startswith(b"http/1.1 413 ")
    assert second.startswith(b"http/1.1 200 ")
    assert body == b"3"
