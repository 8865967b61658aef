"""Runs the demo: starts a separate tracker, fills it, runs workers against it and checks every result.

There is one task per source file of Python's standard library; each has to be computed by two workers that agree. Of
the eight workers, one lies and one crashes; one is stopped in the middle of a task until long after its lease is over,
and one works on a task for longer than its lease lasts, extending it by heartbeats.
"""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.computation import COMPUTATIONS, computed, verification_hash
from demo.worker import Tracker

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "standard library"
WORKERS = ("honest", "honest", "honest", "honest", "liar", "crasher")
# Those of a single task. They get theirs before the others begin.
SINGLES = ("slow", "sleeper")

KEPT_ENVIRONMENT = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}

START_SECONDS = 60
# The tracker promises to end within 10 seconds, which a busy machine may not keep.
STOP_SECONDS = 60
# Without any task closed for so long, something is stuck.
PATIENCE_SECONDS = 90


class Report(NamedTuple):
    """The outcome of the demo. `differences` lists everything that is wrong.

    `singles` is what became of the task of each of SINGLES: that of the slow one was kept or lost, what the sleeper
    reported was refused or accepted.
    """

    tasks: int
    seconds: float
    retries: int
    disagreements: int
    differences: list[str]
    singles: dict[str, str]


def source_files() -> list[str]:
    """The sorted absolute paths of all Python files of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    files = (path for path in library.rglob("*.py") if "site-packages" not in path.parts)
    return sorted(str(path) for path in files)


class Demo:
    """A tracker with its workers, in a temporary folder."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.console = console
        self.folder = folder
        # No setting of another tracker in the environment may reach this one.
        self.env = {name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT}
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.env |= {"TRACKER_DATA_DIR": str(folder / "var"), "PYTHONUNBUFFERED": "1"}
        self.server: subprocess.Popen[str] | None = None
        self.workers: list[subprocess.Popen[Any]] = []
        self.singles: dict[str, subprocess.Popen[Any]] = {}

    def start_server(self) -> str:
        """Start the tracker on a free port and return its address."""
        self.server = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "serve", "--host", "127.0.0.1", "--port", "0"],
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # A server that doesn't start in time is terminated, which ends its output and so this loop.
        timer = threading.Timer(START_SECONDS, self.server.terminate)
        timer.start()
        try:
            for line in self.server.stdout or ():
                if " listens on " in line:
                    return line.split(" listens on ")[1].split(" ")[0]
        finally:
            timer.cancel()
        sys.exit("The server did not start.")

    def manage(self, *arguments: str) -> str:
        """Run an operator's command and return its output."""
        result = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if result.returncode:
            sys.exit(f"manage.py {arguments[0]} failed.")
        return result.stdout

    def fill(self, paths: list[str]) -> int:
        """Create the project with one task per path and return its id."""
        created = self.manage("create_project", PROJECT, "--public", "--lease-seconds", "5")
        tasks = self.folder / "tasks.jsonl"
        with tasks.open("w") as file:
            for path, computation in zip(paths, _in_turn(list(COMPUTATIONS)), strict=False):
                recipe = json.dumps({"path": path, "compute": computation})
                task = {"recipe": recipe, "verification_count": 2, "max_retries": 10, "unique_string": path}
                file.write(json.dumps(task) + "\n")
        self.manage("submit_tasks", PROJECT, str(tasks))
        return int(created.split()[2])

    def start_workers(self, address: str, project: int) -> None:
        def command(behaviour: str) -> list[str]:
            return [sys.executable, "-m", "demo.worker", address, str(project), behaviour]

        for behaviour in SINGLES:
            self.singles[behaviour] = subprocess.Popen(
                command(behaviour),
                env=self.env,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        for behaviour in SINGLES:
            self.said(behaviour)
        for behaviour in WORKERS:
            self.workers.append(subprocess.Popen(command(behaviour), env=self.env, cwd=ROOT, stderr=subprocess.DEVNULL))

    def said(self, single: str) -> str:
        """What one of SINGLES says next, without its task's id; empty if it ends instead."""
        worker = self.singles[single]
        timer = threading.Timer(PATIENCE_SECONDS, worker.kill)
        timer.start()
        try:
            return (worker.stdout.readline() if worker.stdout else "").split(" ")[0].strip()
        finally:
            timer.cancel()

    def wake_sleeper(self) -> None:
        """Let the sleeper go on, whose lease is over by now, since everything is closed."""
        self.singles["sleeper"].send_signal(signal.SIGCONT)

    def wait_until_closed(self, address: str, total: int) -> None:
        """Show a progress bar until all tasks are closed, or none was closed for PATIENCE_SECONDS."""
        tracker = Tracker(address)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task("closed", total=total)
            closed, changed = 0, time.monotonic()
            while closed < total and time.monotonic() - changed < PATIENCE_SECONDS:
                time.sleep(0.25)
                stats = tracker.call("GET", "/worker/stats")["content"]["stats"]
                now_closed = sum(worker["closed_task_count"] for worker in stats)
                if now_closed != closed:
                    closed, changed = now_closed, time.monotonic()
                progress.update(bar, completed=closed)

    def stop(self) -> None:
        for worker in (*self.workers, *self.singles.values()):
            worker.kill()
            worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()
        if self.server is not None:
            self.server.terminate()
            try:
                self.server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.server.pid, signal.SIGKILL)


def check(paths: list[str], closed: list[dict[str, Any]], seconds: float, singles: dict[str, str]) -> Report:
    """Compare every closed task with a direct computation."""
    differences = []
    counted = dict.fromkeys(paths, 0)
    for task in closed:
        recipe = json.loads(task["recipe"])
        counted[recipe["path"]] += 1
        result = computed(recipe["path"], recipe["compute"])
        if task["output"] != result:
            differences.append(f"{recipe['path']}: the output {task['output']} is not that of the direct computation")
        if task["verification"] != verification_hash(recipe["path"], recipe["compute"], result):
            differences.append(f"{recipe['path']}: the agreed hash is not that of the direct computation")
    differences += [f"{path}: closed {count} times" for path, count in counted.items() if count != 1]
    if singles.get("sleeper") == "accepted":
        differences.append("a report long after the end of its lease was accepted")
    return Report(
        tasks=len(closed),
        seconds=seconds,
        retries=sum(task["retries"] for task in closed),
        disagreements=sum(vote != task["verification"] for task in closed for vote in task["votes"]),
        differences=differences,
        singles=singles,
    )


def show(report: Report, console: Console) -> None:
    table = Table(show_header=False, box=None)
    table.add_row("tasks", f"{report.tasks:,}, each computed by two workers")
    table.add_row("seconds", f"{report.seconds:.1f}")
    table.add_row("tasks/s", f"{report.tasks / report.seconds:.0f}")
    table.add_row("retries", f"{report.retries} (the crasher's FAILs; the lease it died with expired)")
    table.add_row("disagreements", f"{report.disagreements} (the liar's hashes, outvoted)")
    table.add_row("a long task", f"{report.singles.get('slow', '–')} (its lease was extended by heartbeats)")
    table.add_row(
        "a late report", f"{report.singles.get('sleeper', '–')} (its worker was stopped until its lease was over)"
    )
    table.add_row("differences", f"{len(report.differences)} from a direct computation")
    console.print(table)
    for difference in report.differences[:20]:
        console.print(f"  {difference}", markup=False)


def _in_turn(names: list[str]) -> Iterator[str]:
    while True:
        yield from names


def main() -> int:
    # SIGTERM ends the demo like Ctrl-C, with clean-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    paths = source_files()
    with tempfile.TemporaryDirectory(prefix="task-tracker-demo-", ignore_cleanup_errors=True) as folder:
        demo = Demo(Path(folder), console)
        try:
            address = demo.start_server()
            console.print(f"The demo's own tracker listens on {address} with its data in {folder}", markup=False)
            project = demo.fill(paths)
            started = time.monotonic()
            demo.start_workers(address, project)
            demo.wait_until_closed(address, len(paths))
            seconds = time.monotonic() - started
            demo.wake_sleeper()
            singles = {single: demo.said(single) for single in SINGLES}
            closed = [json.loads(line) for line in demo.manage("export_closed", PROJECT).splitlines()]
        except KeyboardInterrupt:
            console.print("Interrupted.")
            return 130
        finally:
            demo.stop()
        report = check(paths, closed, seconds, singles)
    show(report, console)
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
