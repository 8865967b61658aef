"""A client process: many connections in one event loop.

Run as `python -m benchmarks.load` with a Job as JSON on standard input; prints a Count as JSON.
"""

import json
import resource
import select
import sys
import time
from typing import NamedTuple

from benchmarks.client import Connection, Job, LoadError


class Count(NamedTuple):
    """What was done in `seconds`: the number of tasks, the latencies, and the processor time of the clients.

    `latencies` are in seconds, by the name of the request.
    """

    tasks: int
    seconds: float
    latencies: dict[str, list[float]]
    cpu_seconds: float = 0

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds


def run(job: Job) -> Count:
    """Keep all connections busy for the job's seconds. Later responses do not count."""
    connections = [Connection(job, worker) for worker in job.workers]
    time.sleep(max(0, job.starts - time.monotonic()))
    cpu = _cpu_seconds()
    started = time.monotonic()
    _drive(connections, keep_alive=job.keep_alive, end=started + job.seconds)
    seconds, cpu = time.monotonic() - started, _cpu_seconds() - cpu
    latencies: dict[str, list[float]] = {}
    for connection in connections:
        # Otherwise its last request would be processed during the next measurement.
        connection.finish()
        for called, each in connection.latencies.items():
            latencies.setdefault(called, []).extend(each)
    return Count(sum(connection.done for connection in connections), seconds, latencies, cpu)


def _drive(connections: list[Connection], *, keep_alive: bool, end: float) -> None:
    # Not selectors, which cost as much as a request's own system calls.
    with select.epoll() as poll:
        by_number = {}
        for connection in connections:
            connection.send()
            number = connection.socket.fileno()
            by_number[number] = connection
            poll.register(number, select.EPOLLIN)
        while (now := time.monotonic()) < end:
            for number, _ in poll.poll(end - now):
                connection = by_number[number]
                if not connection.receive():
                    continue
                if keep_alive:
                    connection.send()
                else:
                    # Closing it unregisters it.
                    del by_number[number]
                    connection.close()
                    connection.send()
                    number = connection.socket.fileno()
                    by_number[number] = connection
                    poll.register(number, select.EPOLLIN)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    try:
        count = run(Job(**json.load(sys.stdin)))
    except (LoadError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.write(json.dumps(count._asdict()))


if __name__ == "__main__":
    main()
