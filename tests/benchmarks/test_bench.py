"""The whole benchmark at a tiny size. No test depends on speed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.server import ROOT
from tests.processes import eventually


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, since the path of a socket must be short."""
    with tempfile.TemporaryDirectory(prefix="bench-test-") as name:
        yield Path(name)


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the benchmark with its temporary files and its results in the folder."""
    (folder / "t").mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--quick", "--results", str(folder / "results"), *arguments],
        env=os.environ | {"TMPDIR": str(folder / "t")},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def running(folder: Path) -> list[list[str]]:
    """The command lines of the processes that refer to the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_it_works(folder: Path) -> None:
    rows = ["--rows", "lease-8,memory", "--rounds", "1", "--seconds", "2", "--name", "tiny"]
    with begin(folder, *rows) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "lease + release, 8 clients, keep-alive" in output

    (written,) = folder.glob("results/*-tiny.json")
    content = json.loads(written.read_text())
    by_name = {result["name"]: result for result in content["results"]}
    assert by_name["lease-8"]["median"] > 0
    assert by_name["lease-8"]["ratio"] > 0
    assert by_name["lease-8-release-p99"]["unit"] == "ms"
    assert content["about"]["postgresql"]
    assert "| lease + release, 8 clients, keep-alive | tasks/s |" in written.with_suffix(".md").read_text()

    assert list((folder / "t").iterdir()) == []
    assert running(folder) == []


def test_interrupted_run_leaves_nothing_behind(folder: Path) -> None:
    with begin(folder, "--rows", "submit") as process:
        eventually(lambda: any("benchmarks.load" in command for command in running(folder)))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
    assert process.returncode == 130, output
    assert not (folder / "results").exists()
    assert list((folder / "t").iterdir()) == []
    assert running(folder) == []


def test_unknown_row_is_refused(folder: Path) -> None:
    with begin(folder, "--rows", "lease-9") as process:
        output, _ = process.communicate()
    assert process.returncode == 2
    assert "there is no row lease-9" in output
