"""Which workers fail or disagree much more often than the others of their project.

A worker is marked when three things hold:

- It has at least LEAST cases in the period: leases that ended, or votes on tasks that closed.
- With the benefit of the doubt, its share of bad ones is still more than TIMES the median of the other workers' shares.
  The benefit is the lower end of the 99 % Wilson interval: of 5 bad cases among 20 it leaves 9 %, of 500 among 2,000 it
  leaves 23 %.
- That is also at least POINTS above the median, since twice next to nothing is still next to nothing.

The median, not the mean: a few workers that always fail don't hide each other. It leaves out the worker itself and all
others with fewer than LEAST cases. So where half of the workers fail, nobody is marked; nor is a worker without others.
A mark tells who differs, not who is right: where most workers are wrong, those that are right are the ones outvoted.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum

LEAST = 20
TIMES = 2.0
POINTS = 0.05

# Of the normal distribution: 99 % lie within so many standard deviations.
_DEVIATIONS = 2.576


class Mark(StrEnum):
    """What a worker does much more often than the others."""

    FAILS = "fails"
    DISAGREES = "disagrees"


def lowest_share(bad: int, cases: int) -> float:
    """The lower end of the Wilson interval for the share of bad cases."""
    if bad <= 0 or cases <= 0:
        return 0.0
    share, spread = min(bad / cases, 1.0), _DEVIATIONS**2 / cases
    middle = share + spread / 2
    return max(middle - math.sqrt(spread * (share * (1 - share) + spread / 4)), 0.0) / (1 + spread)


def may_stand_out(bad: int, cases: int) -> bool:
    """Whether a worker would be marked if the others had no bad case at all."""
    return cases >= LEAST and lowest_share(bad, cases) >= POINTS


def outliers(found: Mapping[int, tuple[int, int]]) -> set[int]:
    """The workers to mark. `found` has for each worker its number of bad cases and of all cases."""
    enough = {worker: numbers for worker, numbers in found.items() if numbers[1] >= LEAST}
    shares = sorted(bad / cases for bad, cases in enough.values())
    if len(shares) < 2:
        return set()
    return {
        worker
        for worker, (bad, cases) in enough.items()
        if may_stand_out(bad, cases)
        and stands_out(bad, cases, usual=_median_without(shares, bisect_left(shares, bad / cases)))
    }


def stands_out(bad: int, cases: int, *, usual: float) -> bool:
    """Whether to mark a worker; `usual` is the median of the shares of the others that have at least LEAST cases."""
    lowest = lowest_share(bad, cases)
    return cases >= LEAST and lowest > TIMES * usual and lowest >= usual + POINTS


def _median_without(shares: list[float], place: int) -> float:
    """The median of the sorted shares but for the one at this place. There are at least two."""
    left = len(shares) - 1
    low, high = ((left - 1) // 2, left // 2)
    # Behind the place, what is left has moved down by one.
    return (shares[low + (low >= place)] + shares[high + (high >= place)]) / 2
