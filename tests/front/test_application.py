"""What is answered while all threads are busy."""

import asyncio
import threading

import pytest

from tests.front.loops import on_loop
from tests.front.serving import serving
from tracker.front.application import Application, body_limit
from tracker.front.bridge import WsgiBridge
from tracker.front.pool import Pool
from webui.errors import AGAIN_SECONDS

BROWSER = "Accept: text/html\r\n"


def refused(request):
    """The head and the body of the answer to a request for which there is no thread."""
    begun, let_go = threading.Event(), threading.Event()

    def stuck(environ, start_response):
        begun.set()
        let_go.wait(20)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    async def main():
        pool = Pool(threads=1, waiting=0, patience=20)
        application = Application(stuck)
        application._bridge = WsgiBridge(stuck, pool, body_limit)
        try:
            async with serving(application) as server:
                first, _ = await server.connect(b"GET /projects/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await asyncio.to_thread(begun.wait, 20)
                reader, _ = await server.connect(request.encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                (length,) = (line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
                body = (await reader.readexactly(int(length.split()[1]))).decode()
                let_go.set()
                await first.readuntil(b"\r\n\r\n")
                return head, body
        finally:
            let_go.set()
            pool.shutdown()

    return on_loop(main())


def request(line, fields="", body=""):
    return f"{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}"


def test_it_works():
    head, page = refused(request("GET /projects/", BROWSER))
    assert head.startswith("HTTP/1.1 503 ")
    fields = head.lower()
    assert "retry-after: 1\r\n" in fields
    assert "cache-control: no-store\r\n" in fields
    assert "content-type: text/html" in fields
    assert "content-security-policy: default-src 'none'" in fields
    assert f'<meta http-equiv="refresh" content="{AGAIN_SECONDS}">' in page
    assert "too busy" in page


def test_page_in_the_language_of_the_browser():
    _, page = refused(request("GET /projects/", f"{BROWSER}Accept-Language: fr\r\n"))
    assert '<html lang="fr">' in page
    _, page = refused(request("GET /projects/", BROWSER))
    assert '<html lang="en">' in page


def test_form_is_not_sent_again_by_itself():
    """And nothing of the request is shown: the page is made once for everybody."""
    fields = f"{BROWSER}Referer: http://localhost/projects/7/edit/\r\n"
    _, page = refused(request("POST /projects/7/edit/", fields, "name=x"))
    assert "refresh" not in page
    assert "Nothing of what you sent was stored" in page
    assert "/projects/7/" not in page


@pytest.mark.parametrize("line", ["GET /project/list", "POST /task/bulk_submit", "GET /nothing"])
def test_api_clients_get_an_envelope(line):
    head, body = refused(request(line))
    assert head.startswith("HTTP/1.1 503 ")
    assert body == '{"ok":false,"message":"The tracker is too busy for this at the moment; try again."}\n'
