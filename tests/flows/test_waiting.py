"""Workers that wait for a task, over real connections."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.flows.test_clients import BareClient, read_answer

WAIT = 20


@pytest.fixture
def project(server, request):
    return int(server.manage("create_project", request.node.name, "--public").split()[2])


def waiting_worker(server, project):
    """The connection of a worker that has asked for a task and waits."""
    client = BareClient(server.address)
    client.register()
    client.close()
    where = urlsplit(server.address)
    connection = socket.create_connection((where.hostname, where.port), timeout=60)
    head = f"GET /task/get/{project}?wait={WAIT} HTTP/1.1\r\nHost: {where.netloc}\r\n{client.identity}\r\n"
    connection.sendall(head.encode())
    return connection


def submit(server, project):
    server.manage("submit_tasks", str(project), "-", stdin="x\n")


def test_it_works(server, project):
    with waiting_worker(server, project) as connection:
        submit(server, project)
        assert read_answer(connection)["content"]["task"]["project"]["id"] == project


def test_who_hangs_up_takes_no_task(server, project):
    for _ in range(5):
        waiting_worker(server, project).close()
    submit(server, project)
    with waiting_worker(server, project) as connection:
        assert read_answer(connection)["content"]["task"]["recipe"] == "x"
