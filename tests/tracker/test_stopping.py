"""A request to stop, also from a signal handler."""

import os
import signal
import subprocess
import sys

import pytest

from tracker.serve.stopping import Request, Stop


def test_it_works():
    stop = Stop()
    assert not stop.is_set()
    assert not stop.wait(0)
    stop.set()
    assert stop.is_set()
    assert stop.wait()


def test_however_often():
    stop = Stop()
    for _ in range(100_000):
        stop.set()
    assert stop.is_set()


# Waits and sets, while signals interrupt it wherever it is.
INTERRUPTED = """
import os, signal, sys
from tracker.serve.stopping import Stop
never, stop = Stop(), Stop()
stop.on_signals([signal.SIGUSR1])
for _ in range(2_000):
    os.kill(os.getpid(), signal.SIGUSR1)
    stop.wait(0.001)
    stop.set()
    never.wait(0)
print("done")
"""


def test_signals_in_the_middle_of_it():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "done\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_on_signals(number):
    before = signal.getsignal(number)
    stop = Stop()
    try:
        stop.on_signals([number])
        os.kill(os.getpid(), number)
        assert stop.wait(10)
    finally:
        signal.signal(number, before)


def test_request_that_was_taken_note_of():
    request = Request()
    request.clear()
    for _ in range(100_000):
        request.set()
    request.clear()
    assert not request.is_set()
    request.set()
    assert request.is_set()
