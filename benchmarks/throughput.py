"""Rows about throughput in tasks per second, and about the latency of single requests."""

from typing import NamedTuple

from benchmarks import data
from benchmarks.load import Count
from benchmarks.results import Result, percentile
from benchmarks.scale import Scale
from benchmarks.sides import Bench, Load

# The highest rate limit that a project can have. It refuses no lease, so it shows only the cost of the token bucket.
HIGHEST_RATE = 1e9

_PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_WARM_UP_TASKS = 40_000
_WARM_UP_REQUESTS = 4_000


class Row(NamedTuple):
    """What is measured. `columns` are the columns in which tasks differ from plain ones, as SQL expressions."""

    name: str
    title: str
    load: Load
    assign_rate: float = 0
    columns: dict[str, str] = {}
    unit: str = "tasks/s"
    #: Whether to report the latencies of its requests, too.
    latencies: bool = False


def _leases() -> list[Row]:
    return [
        Row(
            f"lease-{clients}" + ("" if keep_alive else "-new"),
            f"lease + release, {clients} client{'s' * (clients > 1)}, "
            + ("keep-alive" if keep_alive else "a connection per request"),
            Load("lease_release", clients, keep_alive=keep_alive),
            latencies=keep_alive and clients > 1,
        )
        for keep_alive in (True, False)
        for clients in (1, 8, 32)
    ]


ROWS = (
    Row("submit", "submit one by one, 8 clients", Load("submit", 8)),
    Row("bulk-submit", "bulk submit of 1,000, 2 clients", Load("bulk_submit", 2, 1_000)),
    *_leases(),
    *(
        Row(f"batch-{size}", f"lease of {size:,} + bulk release, 8 clients", Load("batch", 8, size))
        for size in (10, 100, 1_000)
    ),
    Row("exchange-100", "exchange of 100, 8 clients", Load("exchange", 8, 100)),
    Row(
        "verification",
        "lease + release, each task by two workers, 8 clients",
        Load("lease_release", 8),
        columns={"verification_count": "2"},
        unit="closings/s",
    ),
    Row("rate-limited", "lease + release in a rate-limited project, 8 clients", Load("lease_release", 8), HIGHEST_RATE),
)


def measure(row: Row, bench: Bench, scale: Scale) -> list[Result]:
    """Measure both sides in turn, each time with the same number of tasks in the queue."""
    (project,) = data.create_projects(bench.tracker, row.name, assign_rate=row.assign_rate)
    wanted = _warm_up(row, bench, project, scale)
    ours: list[Count] = []
    limit: list[Count] = []
    for number in range(scale.rounds):
        # The sides take turns in going first, so that neither always inherits what the other left behind.
        for by_pgbench in (False, True) if number % 2 == 0 else (True, False):
            _prepare(row, bench, project, wanted)
            if by_pgbench:
                limit.append(bench.by_pgbench(row.load, project, scale.seconds))
                wanted = max(wanted, limit[-1].tasks * 3 // 2)
            else:
                ours.append(bench.checked_over_http(row.load, project, scale.seconds))
    data.empty(bench.tracker)
    return [_rates(row, ours, limit), *(_latencies(row, ours, limit) if row.latencies else [])]


def _warm_up(row: Row, bench: Bench, project: int, scale: Scale) -> int:
    """Run both sides for a moment. Returns how many tasks the queue needs so that the faster side does not run out."""
    load = row.load
    if not load.counts_stored:
        _prepare(row, bench, project, _WARM_UP_REQUESTS * 4 if load.size == 1 else _WARM_UP_TASKS * 2)
    requests = max(_WARM_UP_REQUESTS if load.size == 1 else _WARM_UP_TASKS // load.size, 4 * load.clients)
    limit = bench.by_pgbench(load, project, transactions=requests)
    bench.over_http(load, project, min(scale.seconds, 0.5))
    return 20_000 + int(limit.rate * scale.seconds * 2)


def _prepare(row: Row, bench: Bench, project: int, wanted: int) -> None:
    if row.load.counts_stored:
        data.empty(bench.tracker)
    else:
        data.fill(bench.tracker, project, wanted - data.ready(bench.tracker, project), **row.columns)
    data.settle(bench.tracker)


def _rates(row: Row, ours: list[Count], limit: list[Count]) -> Result:
    cost = sum(count.cpu_seconds for count in ours) / sum(count.seconds for count in ours)
    return Result(
        "throughput",
        row.name,
        row.title,
        row.unit,
        [count.rate for count in ours],
        [count.rate for count in limit],
        f"clients took {cost:.0%} of a core",
    )


def _latencies(row: Row, ours: list[Count], limit: list[Count]) -> list[Result]:
    return [
        Result(
            "latency",
            f"{row.name}-{verb}-{name}",
            f"{verb}, {row.load.clients} clients, {name}",
            "ms",
            [1000 * percentile(count.latencies[verb], share) for count in ours],
            [1000 * percentile(count.latencies[verb], share) for count in limit],
        )
        for verb in ("lease", "release")
        for name, share in _PERCENTILES.items()
    ]
