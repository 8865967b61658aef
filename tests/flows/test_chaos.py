"""`python -m chaos` for a minute: no promise is broken, and nothing of it is left."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import psutil
from django.conf import settings

from tests.processes import PATIENCE_SECONDS, eventually, gone

SECONDS, TASKS, SEED = 50, 8_000, 20


def started(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "chaos", *arguments],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def number(output, name):
    """The number in the row of a table."""
    return int(re.search(rf"│ {re.escape(name)} +│ ([\d,]+) +│", output)[1].replace(",", ""))


def test_no_promise_is_broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    arguments = ("--seed", str(SEED), "--seconds", str(SECONDS), "--tasks", str(TASKS), "--clients", "12")
    with started(folder, *arguments) as process:
        output, _ = process.communicate(timeout=3 * PATIENCE_SECONDS)
    assert process.returncode == 0, output
    assert number(output, "submitted and acknowledged") > TASKS / 10
    assert number(output, "closed, copies in a chain included") > TASKS / 10
    for kind in ("still open", "lost", "closed twice", "leased twice", "quorum broken", "counts wrong"):
        assert number(output, kind) == 0
    assert "The longest wait" in output
    assert list(folder.iterdir()) == []


def postgres_of(folder):
    """The processes of PostgreSQL whose data is in the folder. Its path can't be looked into, in a mount namespace."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd().startswith(f"{folder}/"):
                found.append(process)
    return found


def test_interrupted_it_leaves_nothing_behind(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    with started(folder, "--seconds", "600", "--tasks", "100000") as process:
        eventually(lambda: list(folder.glob("*/setting.sqlite")))
        started_by_it = psutil.Process(process.pid).children(recursive=True) + postgres_of(folder)
        assert len(started_by_it) > 5
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, output
    assert list(folder.iterdir()) == []
    eventually(lambda: all(gone(one) for one in started_by_it))
