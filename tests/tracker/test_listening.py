"""The listening socket."""

import socket
import threading
import time

import pytest

from tests.processes import PATIENCE_SECONDS
from tracker.serve import listening
from tracker.serve.listening import CanNotListen, address, close_to_new_connections, listen


@pytest.fixture
def listener():
    with listen("127.0.0.1", 0) as listener:
        yield listener


def connect(listener):
    return socket.create_connection(listener.getsockname(), timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")])
def test_address(host, shown):
    with listen(host, 0) as listener:
        assert address(listener) == f"http://{shown}:{listener.getsockname()[1]}/"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 64, "203.0.113.1", "a..b"])
def test_address_that_can_not_be_listened_on(host):
    with pytest.raises(
        CanNotListen, match=r"\ACan't listen on [^\n]+ Stop the program that uses it, or set PORT or HOST\.\Z"
    ):
        listen(host, 3010)


def test_connections_that_the_kernel_has_established_are_accepted_before_it_closes(listener):
    early = [connect(listener) for _ in range(5)]
    copy = listener.dup()
    accepted = []

    def accept():
        # By then the kernel ignores new connections.
        time.sleep(0.3)
        for _ in early:
            accepted.append(copy.accept()[0])
            accepted[-1].sendall(b"hello")

    thread = threading.Thread(target=accept)
    thread.start()
    close_to_new_connections(listener, seconds=PATIENCE_SECONDS)
    thread.join()
    copy.close()
    assert len(accepted) == 5
    assert listener.fileno() == -1
    for connection in (*early, *accepted):
        assert connection in accepted or connection.recv(5) == b"hello"
        connection.close()


def test_who_comes_now_is_refused_and_not_reset(listener):
    late = []
    where = listener.getsockname()

    def come():
        time.sleep(0.05)
        try:
            socket.create_connection(where, timeout=PATIENCE_SECONDS)
        except OSError as error:
            late.append(type(error))

    thread = threading.Thread(target=come)
    thread.start()
    close_to_new_connections(listener, seconds=PATIENCE_SECONDS)
    thread.join()
    assert late == [ConnectionRefusedError]


def test_nobody_accepts(listener):
    with connect(listener):
        began = time.monotonic()
        close_to_new_connections(listener, seconds=0.2)
        assert time.monotonic() - began < PATIENCE_SECONDS
    assert listener.fileno() == -1


def test_without_the_packet_filter(listener, monkeypatch, caplog):
    def fail(*_):
        raise PermissionError("no")

    monkeypatch.setattr(listening, "_attach", fail)
    close_to_new_connections(listener, seconds=1)
    assert listener.fileno() == -1
    assert caplog.messages == ["The kernel's packet filter can't be used: no"]
