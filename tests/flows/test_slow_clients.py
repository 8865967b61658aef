"""Clients that keep the server waiting, over real sockets."""

import resource
import socket
from urllib.parse import urlsplit

import psutil
import pytest

from tests.flows.test_clients import BareClient, CurlClient, read_answer

# More than the server has threads.
CLIENTS = 40


def open_request(address, path, announced):
    where = urlsplit(address)
    connection = socket.create_connection((where.hostname, where.port), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {announced}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def test_bodies_that_never_arrive_do_not_block_other_clients(server):
    waiting = [open_request(server.address, "/nowhere", 1_000_000) for _ in range(CLIENTS)]
    try:
        # Each was refused at once, and the server waited only briefly for its body.
        assert CurlClient(server.address).call("GET", "/project/list")["ok"]
        assert read_answer(waiting[0])["ok"] is False
    finally:
        for connection in waiting:
            connection.close()


def test_body_that_stops_half_way(server):
    connection = open_request(server.address, "/worker/create", 1_000)
    with connection:
        connection.sendall(b'{"alias": "')
        answer = read_answer(connection)
    assert not answer["ok"]
    assert "too slowly" in answer["message"]


def test_absurd_length(server):
    with open_request(server.address, "/worker/create", 10**22) as connection:
        assert not read_answer(connection)["ok"]


@pytest.mark.parametrize("path", ["/worker/create", "/nowhere"])
def test_broken_chunks(server, path):
    client = BareClient(server.address)
    head = f"POST {path} HTTP/1.1\r\nHost: {client.host}\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n"
    assert not CurlClient(server.address).exchange(head.encode())["ok"]


def test_slow_webhooks_do_not_block_large_bulks(server):
    slow = [open_request(server.address, "/git/receivehook", 2_000_000) for _ in range(4)]
    client = BareClient(server.address)
    worker = client.register()
    project = int(server.manage("create_project", "large bulks", "--public").split()[2])
    server.manage("grant_access", str(worker["id"]), "large bulks", "--submit")
    try:
        batch = [{"project": project, "recipe": "x" * 2_000}] * 1_000
        assert client.call("POST", "/task/bulk_submit", batch)["content"]["created"] == 1_000
    finally:
        client.close()
        for connection in slow:
            connection.close()


class Crowd:
    """Connections that keep the server waiting, each in its way."""

    def __init__(self, address):
        where = urlsplit(address)
        self.address, self.host = (where.hostname, where.port), where.netloc.encode()
        self.connections = []

    def join(self, count, sent=b""):
        for _ in range(count):
            connection = socket.socket()
            # So that a response that isn't read doesn't fit into this side's buffer.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(self.address)
            connection.sendall(sent.replace(b"HOST", self.host))
            self.connections.append(connection)

    def leave(self):
        for connection in self.connections:
            connection.close()


@pytest.mark.timeout(120)
def test_a_crowd_of_slow_clients(server):
    """They occupy no thread and little memory, so a worker goes on as if they weren't there."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    client = BareClient(server.address)
    client.register()
    project = int(server.manage("create_project", "crowded", "--public").split()[2])
    server.manage("submit_tasks", "crowded", "-", stdin="x\n" * 100)
    crowd = Crowd(server.address)
    try:
        crowd.join(2_000)
        crowd.join(500, b"G")
        crowd.join(200, b"GET /api/schema HTTP/1.1\r\nHost: HOST\r\n\r\n" * 10)
        crowd.join(
            200, b"POST /worker/create HTTP/1.1\r\nHost: HOST\r\nContent-Length: 900000\r\n\r\n" + b" " * 100_000
        )
        for _ in range(50):
            task = client.call("GET", f"/task/get/{project}")["content"]["task"]
            released = client.call("POST", "/task/release", {"task_id": task["id"], "result": 0})
            assert released["content"]["updated"]
        assert CurlClient(server.address).call("GET", "/project/list")["ok"]
        assert memory(server) < 600 * 1024**2
    finally:
        client.close()
        crowd.leave()


def memory(server):
    """What the web processes occupy, in bytes; what they share is counted once."""
    processes = psutil.Process(server.process.pid).children(recursive=True)
    return sum(process.memory_full_info().pss for process in processes if "gunicorn" in " ".join(process.cmdline()))
