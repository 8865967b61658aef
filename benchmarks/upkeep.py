"""Rows about costs outside the queue: memory, a round of snapshots, the HTML pages."""

import http.client
import json
import secrets
import time
from collections.abc import Callable

import psutil

from benchmarks.results import Result
from benchmarks.scale import Scale
from benchmarks.server import BenchmarkError
from benchmarks.sides import Bench

_SNAPSHOTS = """
import sys, time
from tasks.queue import upkeep
started = time.perf_counter()
upkeep.take_snapshots()
sys.stdout.write(str(1000 * (time.perf_counter() - started)))
"""

_PAGES = {
    "list of projects": "/projects/",
    "dashboard": "/projects/{project}/",
    "numbers of the dashboard": "/projects/{project}/numbers/",
    "admin's list of tasks": "/admin/tasks/task/",
}

_TIMEOUT_SECONDS = 60


def memory(bench: Bench, scale: Scale) -> list[Result]:
    """The memory of each tracker process, and of all database processes together. Shared pages are divided (PSS)."""
    sizes: dict[str, list[float]] = {}
    for process in _family(bench.tracker.pid):
        sizes.setdefault(_kind(process), []).append(_megabytes(process))
    postmaster = bench.tracker.database.postmaster_pid()
    if postmaster is not None:
        processes = _family(postmaster)
        sizes[f"PostgreSQL, all {len(processes)} processes"] = [sum(map(_megabytes, processes))]
    return [
        Result("memory", f"memory-{kind}", f"memory: {kind}", "MB (PSS)", megabytes)
        for kind, megabytes in sizes.items()
    ]


def snapshots(bench: Bench, scale: Scale) -> list[Result]:
    """How long the scheduler's round of snapshots takes, with the tasks that the previous rows have left."""
    rounds = []
    for _ in range(scale.rounds):
        # So that a snapshot is due for each project.
        bench.tracker.sql("TRUNCATE projects_snapshot")
        rounds.append(float(bench.tracker.python(_SNAPSHOTS)))
    return [Result("upkeep", "snapshots", f"a round of snapshots, {_contents(bench)}", "ms", rounds)]


def pages(bench: Bench, scale: Scale) -> list[Result]:
    """How long pages take, for a tracker admin, with the tasks that the previous rows have left."""
    ((project,),) = bench.tracker.sql(
        "SELECT project.id FROM projects_project AS project LEFT JOIN tasks_task ON project_id = project.id "
        "GROUP BY 1 ORDER BY count(tasks_task.id) DESC LIMIT 1"
    )
    cookie, contents = _register(bench), _contents(bench)
    results = []
    for title, pattern in _PAGES.items():
        path = pattern.format(project=project)
        _get(bench, path, cookie)
        rounds = [_get(bench, path, cookie) for _ in range(scale.rounds)]
        results.append(Result("upkeep", f"page-{title}", f"page: {title}, {contents}", "ms", rounds))
    return results


ROWS: dict[str, Callable[[Bench, Scale], list[Result]]] = {"memory": memory, "snapshots": snapshots, "pages": pages}


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _kind(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if "run_scheduler" in command:
        return "scheduler"
    if "gunicorn" in command:
        return "web server, its master" if process.children() else "web server, a worker process"
    return "serve"


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / 2**20)


def _contents(bench: Bench) -> str:
    ((tasks, projects),) = bench.tracker.sql(
        "SELECT (SELECT count(*) FROM tasks_task), (SELECT count(*) FROM projects_project)"
    )
    return f"{tasks:,} tasks in {projects:,} projects"


def _register(bench: Bench) -> str:
    """Register the first manager, who becomes tracker admin. Returns the session's cookies."""
    connection = http.client.HTTPConnection(bench.tracker.host, bench.tracker.port, timeout=_TIMEOUT_SECONDS)
    connection.request("POST", "/register", json.dumps({"username": "benchmark", "password": secrets.token_hex()}))
    response = connection.getresponse()
    cookie = "; ".join(header.split(";")[0] for header in response.headers.get_all("Set-Cookie", []))
    connection.close()
    if response.status != http.HTTPStatus.OK or not cookie:
        raise BenchmarkError(f"/register answered {response.status}.")
    return cookie


def _get(bench: Bench, path: str, cookie: str) -> float:
    """Fetch a page. Returns how many milliseconds it took."""
    connection = http.client.HTTPConnection(bench.tracker.host, bench.tracker.port, timeout=_TIMEOUT_SECONDS)
    started = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    response = connection.getresponse()
    response.read()
    milliseconds = 1000 * (time.perf_counter() - started)
    connection.close()
    if response.status != http.HTTPStatus.OK:
        raise BenchmarkError(f"{path} answered {response.status}.")
    return milliseconds
