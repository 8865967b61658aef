"""The results of a run: one Result for each row of the table."""

import statistics
from typing import Any, NamedTuple


class Result(NamedTuple):
    """One row: a value per round for each side. `pgbench` is empty if there is nothing for it to measure."""

    section: str
    name: str
    title: str
    unit: str
    ours: list[float]
    pgbench: list[float] = []
    note: str = ""
    #: Whether both sides have the same unit, so that their ratio makes sense.
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
        """All fields, with the medians and the ratio."""
        values = {"median": self.median, "pgbench_median": self.pgbench_median, "ratio": self.ratio}
        return {**self._asdict(), **values}


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
