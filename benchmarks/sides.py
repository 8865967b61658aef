"""The two sides of each comparison: a load over HTTP, and the same statements run by pgbench."""

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import data, pgbench
from benchmarks.client import Job
from benchmarks.load import Count
from benchmarks.server import BenchmarkError, Tracker, finish, started

# All client processes have to be running before the first of them begins.
_TAKE_OFF_SECONDS = 0.3
# More processes would take processor time from the server.
_CONNECTIONS_PER_PROCESS = 16


class Load(NamedTuple):
    """What the clients do: a script of benchmarks.client and benchmarks.pgbench, with `size` tasks per request."""

    script: str
    clients: int = 1
    size: int = 1
    keep_alive: bool = True

    @property
    def counts_stored(self) -> bool:
        """Whether stored tasks are counted, not closed ones."""
        return self.script in ("submit", "bulk_submit")


class Bench:
    """A running tracker and its workers."""

    def __init__(self, folder: Path) -> None:
        self.tracker = Tracker(folder)
        self.workers = data.Workers(0, "")

    def start(self) -> None:
        self.tracker.start()
        self.workers = data.create_workers(self.tracker)

    def over_http(self, load: Load, project: int, seconds: float) -> Count:
        """Send the load to the tracker. Raises BenchmarkError for any unexpected response."""
        identities = self.workers.identities(load.clients)
        processes = -(-load.clients // _CONNECTIONS_PER_PROCESS)
        jobs = [
            Job(
                host=self.tracker.host,
                port=self.tracker.port,
                script=load.script,
                project=project,
                workers=identities[number::processes],
                seconds=seconds,
                starts=time.monotonic() + _TAKE_OFF_SECONDS,
                keep_alive=load.keep_alive,
                size=load.size,
            )
            for number in range(processes)
        ]
        return _together(jobs)

    def by_pgbench(self, load: Load, project: int, seconds: float = 0, *, transactions: int = 0) -> Count:
        """Run the load with pgbench. Its tasks are counted in the database."""
        before = self.moved(load, project)
        job = pgbench.Run(
            script=load.script,
            project=project,
            first_worker=self.workers.first,
            digest=self.workers.digest,
            clients=load.clients,
            size=load.size,
            seconds=seconds,
            transactions=transactions,
        )
        count = pgbench.measure(self.tracker, job)
        return count._replace(tasks=self.moved(load, project) - before)

    def checked_over_http(self, load: Load, project: int, seconds: float) -> Count:
        """Like over_http, but raises BenchmarkError if the clients' count doesn't agree with the database's."""
        before = self.moved(load, project)
        count = self.over_http(load, project, seconds)
        uncounted = self.moved(load, project) - before - count.tasks
        # Each client may have had one request in flight when the time was over.
        if not 0 <= uncounted <= load.clients * load.size:
            raise BenchmarkError(f"The clients counted {count.tasks} tasks, but the database has {uncounted} more.")
        return count

    def moved(self, load: Load, project: int) -> int:
        """How many tasks have been stored or closed, depending on what the load counts."""
        return data.ready(self.tracker, project) if load.counts_stored else data.closings(self.tracker, project)


def _together(jobs: list[Job]) -> Count:
    """Run a client process for each job, all at once, and add up what they counted."""
    if not jobs:
        return Count(0, 0, {})
    with started([sys.executable, "-m", "benchmarks.load"], stdin=json.dumps(jobs[0]._asdict())) as process:
        others = _together(jobs[1:])
        try:
            count = Count(**json.loads(finish(process)))
        except BenchmarkError as error:
            raise BenchmarkError(f"{jobs[0].script} over HTTP: {error}") from error
    latencies = {
        called: count.latencies.get(called, []) + others.latencies.get(called, [])
        for called in count.latencies | others.latencies
    }
    seconds = max(count.seconds, others.seconds)
    return Count(count.tasks + others.tasks, seconds, latencies, count.cpu_seconds + others.cpu_seconds)
