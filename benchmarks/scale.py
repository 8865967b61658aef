"""How much is measured: all rows in less than half an hour, or the most important in less than two minutes."""

from typing import NamedTuple


class Scale(NamedTuple):
    """The number of rounds, their duration, and the amounts of data in the rows about flatness."""

    rounds: int
    seconds: float
    #: The duration in the rows about flatness, which take four measurements in each round.
    flat_seconds: float
    rows: tuple[str, ...]
    small: int
    large: int
    leased: int
    projects: int
    tasks_per_project: int
    verified: int
    leases: int
    snapshot_seconds: float


FULL = Scale(
    rounds=5,
    seconds=2,
    flat_seconds=2,
    rows=(),
    small=10_000,
    large=10_000_000,
    leased=1_000_000,
    projects=1_000,
    tasks_per_project=100,
    verified=100_000,
    leases=1_000_000,
    snapshot_seconds=180,
)

QUICK = Scale(
    rounds=3,
    seconds=1,
    flat_seconds=0.5,
    rows=(
        *("submit", "lease-8", "batch-100", "exchange-100"),
        *("verified-head", "old-snapshot", "large", "memory", "snapshots", "pages"),
    ),
    small=10_000,
    large=200_000,
    leased=0,
    projects=100,
    tasks_per_project=100,
    verified=20_000,
    leases=20_000,
    snapshot_seconds=6,
)
