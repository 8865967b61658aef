"""Clients written for the original API send their exact bytes over real sockets."""

import json
import socket
import threading
from urllib.parse import urlsplit

import pytest

TASKS = 1_000


class CurlClient:
    """`curl -d`: a new connection per call, JSON with the content type of a form."""

    extra = "User-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    content_type = "Content-Type: application/x-www-form-urlencoded\r\n"

    def __init__(self, address):
        self.host = urlsplit(address).netloc
        self.identity = ""

    def call(self, method, path, body=None):
        raw = b"" if body is None else json.dumps(body).encode()
        length = f"Content-Length: {len(raw)}\r\n{self.content_type}" if body is not None else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{self.extra}{self.identity}{length}\r\n"
        return self.exchange(head.encode() + raw)

    def exchange(self, request):
        with self.connect() as connection:
            connection.sendall(request)
            return read_answer(connection)

    def connect(self):
        host, port = self.host.split(":")
        return socket.create_connection((host, int(port)), timeout=30)

    def register(self):
        worker = self.call("POST", "/worker/create", {"alias": type(self).__name__})["content"]["worker"]
        self.identity = f"X-Worker-ID: {worker['id']}\r\nX-Secret: {worker['secret']}\r\n"
        return worker


class BareClient(CurlClient):
    """No content type, one connection for everything, headers in lower case."""

    extra = "accept-encoding: identity\r\nuser-agent: go\r\n"
    content_type = ""
    connection = None

    def exchange(self, request):
        if self.connection is None:
            self.connection = self.connect()
        self.connection.sendall(request.replace(b"X-Worker-ID", b"x-worker-id").replace(b"X-Secret", b"x-secret"))
        return read_answer(self.connection)

    def close(self):
        if self.connection is not None:
            self.connection.close()


def read_answer(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += received_more(connection)
    head, body = received.split(b"\r\n\r\n", 1)
    headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
    while len(body) < int(headers["content-length"]):
        body += received_more(connection)
    return json.loads(body)


def received_more(connection):
    received = connection.recv(65536)
    assert received, "the server closed the connection"
    return received


def drain(client, project, done):
    """Work like the original runners: they stop on exactly this message; after any other they would retry forever."""
    while True:
        answer = client.call("GET", f"/task/get/{project}")
        if not answer["ok"]:
            assert answer["message"] == "No task available"
            return
        task = answer["content"]["task"]
        released = client.call("POST", "/task/release", {"task_id": task["id"], "result": 0, "verification": 1})
        assert released["content"]["updated"] is True
        done.append(task["recipe"])


def test_two_unmodified_clients_drain_a_queue(server):
    project = int(server.manage("create_project", "drained", "--public").split()[2])
    server.manage("submit_tasks", "drained", "-", stdin="".join(f"task {n}\n" for n in range(TASKS)))
    curl, bare = CurlClient(server.address), BareClient(server.address)
    done = {client: [] for client in (curl, bare)}
    threads = []
    for client in (curl, bare):
        client.register()
        threads.append(threading.Thread(target=drain, args=(client, project, done[client])))
        threads[-1].start()
    for thread in threads:
        thread.join()
    bare.close()
    assert sorted(done[curl] + done[bare]) == sorted(f"task {n}" for n in range(TASKS))
    assert done[curl]
    assert done[bare]
    closed = [json.loads(line)["recipe"] for line in server.manage("export_closed", "drained").splitlines()]
    assert sorted(closed) == sorted(done[curl] + done[bare])


def test_submitting_worker_is_approved_and_logs(server):
    project = int(server.manage("create_project", "submitted", "--public").split()[2])
    client = BareClient(server.address)
    worker = client.register()
    body = {"project": project, "recipe": "x", "hash64": 2**63 + 5, "unique_string": ""}
    assert not client.call("POST", "/task/submit", body)["ok"]
    assert client.call("POST", "/project/request_access", {"project": project, "submit": True, "assign": True})["ok"]
    server.manage("grant_access", str(worker["id"]), "submitted", "--submit")
    assert client.call("POST", "/api/task/submit", body)["ok"]
    assert not client.call("POST", "/api/task/submit", body)["ok"]
    entry = {"scope": "test", "Message": "capitalised", "timestamp": 1559393394}
    assert client.call("POST", "/log/info", entry) == {"ok": True}
    client.close()
    lines = [json.loads(line) for line in (server.folder / "tracker.log").read_text().splitlines()]
    assert [line["message"] for line in lines if line["logger"] == "worker_log"] == ["capitalised"]


def test_chunked_body(server):
    client = CurlClient(server.address)
    chunk = b'{"alias": "chunked"}'
    request = (
        f"POST /worker/create HTTP/1.1\r\nHost: {client.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{len(chunk):x}\r\n{chunk.decode()}\r\n0\r\n\r\n"
    )
    assert client.exchange(request.encode())["content"]["worker"]["alias"] == "chunked"


def test_errors_are_envelopes(server):
    client = CurlClient(server.address)
    for method, path, body in (
        ("GET", "/nowhere", None),
        ("GET", "/task/submit", None),
        ("POST", "/task/submit", {}),
        ("POST", "/worker/create", []),
    ):
        answer = client.call(method, path, body)
        assert answer["ok"] is False
        assert answer["message"]


def test_connection_survives_an_unread_body(server):
    client = BareClient(server.address)
    # Refused before its body is read; the next call on the same connection must not be parsed from the rest of it.
    assert not client.call("POST", "/nowhere", {"filler": "x" * 100_000})["ok"]
    assert client.call("GET", "/project/list")["ok"]
    client.close()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"GET /{'x' * 9000} HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (f"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {'x' * 70_000}\r\n\r\n", 431),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
    ],
)
def test_malformed_request_gets_an_envelope(server, request_text, status):
    with CurlClient(server.address).connect() as connection:
        connection.sendall(request_text.encode())
        received = b""
        while part := connection.recv(65536):
            received += part
    head, body = received.split(b"\r\n\r\n", 1)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    answer = json.loads(body)
    assert answer["ok"] is False
    assert answer["message"]
