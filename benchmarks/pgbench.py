"""Runs the tracker's own statements with pgbench, without the tracker: the limit that the database sets."""

import math
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.client import RECIPE
from benchmarks.load import Count
from benchmarks.server import BenchmarkError, Tracker, run
from tracker.postgres.server import DATABASE, USER, binaries

# A lease without a task leaves no row for \gset, which aborts pgbench.
LEASE = r"SELECT id AS task FROM queue_lease_bounded(:worker, :digest, :project, 1) WHERE id IS NOT NULL \gset"
RELEASE = "SELECT outcome FROM queue_release(:worker, :digest, :task, 0, 1);"
SUBMIT = "SELECT outcome, id FROM queue_submit(:worker, :digest, :project, :recipe, 0, 0, 0, NULL, 0);"

# Keeps the leased tasks in variables, as the arrays that a release takes.
_KEPT = r"""
SELECT array_agg(id) AS tasks, array_agg(0) AS results, array_agg(1) AS verifications,
       array_agg(NULL::uuid) AS leases
FROM {call} WHERE id IS NOT NULL \gset
"""
LEASE_MANY = _KEPT.format(call="queue_lease_bounded(:worker, :digest, :project, :size)")
RELEASE_MANY = (
    "SELECT outcome, missing FROM queue_release_many(:worker, :digest, :tasks, :results, :verifications, :leases);"
)
EXCHANGE = _KEPT.format(
    call="queue_exchange_bounded(:worker, :digest, :project, :size, :tasks, :results, :verifications, :leases)"
)

# Each client makes the arrays once, in its first transaction.
SUBMIT_MANY = r"""
\if :made = 0
    SELECT array_fill(:recipe::text, ARRAY[:size::int]) AS recipes, array_fill(0, ARRAY[:size::int]) AS zeros,
           array_fill(NULL::bigint, ARRAY[:size::int]) AS nulls \gset
    \set made 1
\endif
SELECT outcome, ids
FROM queue_submit_many(:worker, :digest, :project, :recipes, :zeros, :zeros, :zeros, :nulls, :zeros);
"""

# The statements behind the scripts of benchmarks.client, by the name of the request.
PHASES = {
    "lease_release": {"lease": LEASE, "release": RELEASE},
    "batch": {"lease": LEASE_MANY, "release": RELEASE_MANY},
    "exchange": {"exchange": EXCHANGE},
    "submit": {"submit": SUBMIT},
    "bulk_submit": {"submit": SUBMIT_MANY},
    "cycle": {"submit": SUBMIT, "lease": LEASE, "release": RELEASE},
}

_FIRST_VALUES = {
    "recipe": RECIPE,
    "phase": "0",
    "made": "0",
    "tasks": "{}",
    "results": "{}",
    "verifications": "{}",
    "leases": "{}",
}

_PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
_RATE = re.compile(r"tps = ([0-9.]+) ")


class Run(NamedTuple):
    """What pgbench has to do: a script of PHASES, for `seconds` or for a number of `transactions`."""

    script: str
    project: int
    first_worker: int
    digest: str
    clients: int
    seconds: float = 0
    transactions: int = 0
    size: int = 1


def measure(tracker: Tracker, job: Run) -> Count:
    """Run pgbench and return how long each statement took. `tasks` is how often the last statement was run."""
    phases = PHASES[job.script]
    with tempfile.TemporaryDirectory(prefix="task-tracker-pgbench-") as name:
        folder = Path(name)
        (folder / "script.sql").write_text(script(list(phases.values())))
        output = run(_command(tracker, job, folder))
        lines = [line for path in folder.glob("log.*") for line in path.read_text().splitlines()]
    processed, rate = _PROCESSED.search(output), _RATE.search(output)
    if processed is None or rate is None or not float(rate[1]):
        raise BenchmarkError(f"pgbench did nothing:\n{output}")
    latencies = by_phase(lines, list(phases))
    return Count(len(latencies[list(phases)[-1]]), int(processed[1]) / float(rate[1]), latencies)


def script(statements: list[str]) -> str:
    """A script that runs the statements in turn, one per transaction, so that each is timed separately."""
    lines = ["\\set worker :first_worker + :client_id"]
    for number, statement in enumerate(statements):
        lines += [f"\\{'elif' if number else 'if'} :phase = {number}", statement.strip()]
    lines += ["\\endif", f"\\set phase (:phase + 1) % {len(statements)}"]
    return "\n".join(lines) + "\n"


def by_phase(lines: list[str], phases: list[str]) -> dict[str, list[float]]:
    """Read pgbench's transaction log: how many seconds each transaction took, by its statement."""
    latencies: dict[str, list[float]] = {phase: [] for phase in phases}
    for line in lines:
        # The fields are the client, the number of its transaction (from 1), microseconds, and more.
        _, number, microseconds, *_ = line.split()
        latencies[phases[(int(number) - 1) % len(phases)]].append(int(microseconds) / 1e6)
    return latencies


def _command(tracker: Tracker, job: Run, folder: Path) -> list[str]:
    variables: dict[str, str | int] = {**_FIRST_VALUES, "digest": job.digest}
    variables |= {"project": job.project, "first_worker": job.first_worker, "size": job.size}
    # pgbench takes only whole seconds.
    until = ["-t", str(job.transactions // job.clients)] if job.transactions else ["-T", str(math.ceil(job.seconds))]
    return [
        str(binaries() / "pgbench"),
        *("-h", str(tracker.database.socket_folder), "-U", USER, "-n", "-M", "prepared"),
        *("-c", str(job.clients), "-j", str(min(2, job.clients)), *until),
        *("-l", "--log-prefix", str(folder / "log"), "-f", str(folder / "script.sql")),
        *(part for name, value in variables.items() for part in ("-D", f"{name}={value}")),
        DATABASE,
    ]
