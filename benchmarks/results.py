"""What a run brings: one Result for each line of the table."""

import statistics
from typing import Any, NamedTuple


class Result(NamedTuple):
    """One line: a value of each round on both sides. Where pgbench has nothing to do with it, it has no values."""

    section: str
    name: str
    title: str
    unit: str
    ours: list[float]
    pgbench: list[float] = []
    note: str = ""
    #: Whether the two sides are in the same unit and can be divided.
    comparable: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.ours)

    @property
    def pgbench_median(self) -> float | None:
        return statistics.median(self.pgbench) if self.pgbench else None

    @property
    def ratio(self) -> float | None:
        """The tracker's value divided by pgbench's: the median over the rounds."""
        if not self.pgbench or not self.comparable:
            return None
        return statistics.median(ours / limit for ours, limit in zip(self.ours, self.pgbench, strict=True))

    def as_json(self) -> dict[str, Any]:
        """All of it, the medians included."""
        values = {"median": self.median, "pgbench_median": self.pgbench_median, "ratio": self.ratio}
        return {**self._asdict(), **values}


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
