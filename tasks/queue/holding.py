"""How many more leases a worker may take, remembered while it may take many, or while counting is slow.

A lease counts the leases that its worker holds in the project, by an index. That is quick as long as there are few. A
worker that holds thousands has as many index entries, and as with the frontier there are dead ones while vacuum can't
remove them. So when counting has read many pages, this process remembers the result and for a while, or until the
worker has used it up, reckons with that instead: SHARE of the time is spent on counting.

A worker that may take PLENTY is not counted for its next FREE leases, or for a second, which saves a tenth of a lease.

Nothing else depends on it, so each process has its own. While counting is slow, a worker may therefore exceed its
limit: with each process by as much as it was allowed when that process counted.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

# How many index pages counting may read before it counts as slow: some thousand leases.
PAGES = 8
SHARE = 0.05
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 1.0
# So far from its limit, a few leases of each process can't lead a worker beyond it.
PLENTY, FREE = 200, 20
# How many are remembered. Beyond, all are forgotten.
MOST = 10_000


class _Known(NamedTuple):
    allowed: int
    until: float
    is_free: bool


class Allowances:
    """What workers may still take. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[int, int], _Known] = {}

    def of(self, worker_id: int, project_id: int, wanted: int) -> int | None:
        """How many leases the worker, which wants so many, may take in the project; None if that has to be counted."""
        key = worker_id, project_id
        known = self._known.get(key)
        if known is None:
            return None
        is_used_up = known.allowed < (wanted if known.is_free else 1)
        if is_used_up or self._clock() >= known.until:
            # Another thread may have removed it already.
            self._known.pop(key, None)
            return None
        return known.allowed

    def note(
        self, worker_id: int, project_id: int, *, allowed: int | None, pages: int, seconds: float, taken: int
    ) -> None:
        """Record a lease of `taken` tasks, how many were allowed (None: not counted), and what counting read."""
        key = worker_id, project_id
        known = self._known.get(key)
        if allowed is None:
            if known is not None:
                self._known[key] = known._replace(allowed=known.allowed - taken)
        elif pages > PAGES:
            seconds = min(max(seconds / SHARE, SHORTEST_SECONDS), LONGEST_SECONDS)
            self._remember(key, _Known(allowed - taken, self._clock() + seconds, is_free=False))
        elif allowed - taken >= PLENTY:
            self._remember(key, _Known(FREE, self._clock() + LONGEST_SECONDS, is_free=True))

    def _remember(self, key: tuple[int, int], known: _Known) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = known
