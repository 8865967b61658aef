"""The frontier: where fresh tasks begin in the index, remembered while finding them is slow.

Each lease leaves a dead entry at the head of the index task_fresh. Vacuum removes dead entries, but not while a session
holds an older snapshot, such as a backup or a forgotten transaction. Then each lease would step over all of them, and
there are more every second. So when a scan has read many index pages, this process remembers the position that it
reached, and for a while scans only behind it.

During this time it misses tasks that came to lie before the frontier: released ones, and new ones with a higher
rank. So the time is short, and proportional to what it saves: SHARE of the time is spent on scans from the
beginning. While vacuum keeps up, which is nearly always, nothing is remembered and the order is exact.

Nothing else depends on the frontier, so each process has its own.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

# How many index pages a scan may read before it counts as slow: some thousands of dead entries.
PAGES = 32
SHARE = 0.05
LONGEST_SECONDS = 1.0

# Behind all tasks.
_END = (-(2**63), 2**63 - 1)


class _Place(NamedTuple):
    rank: int
    task_id: int
    until: float


class Frontier:
    """The frontiers of all projects. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[int, _Place] = {}

    def after(self, project_id: int) -> tuple[int, int] | tuple[None, None]:
        """The rank and id behind which to scan; None for both to scan from the beginning."""
        place = self._places.get(project_id)
        if place is None:
            return None, None
        if self._clock() >= place.until:
            # Another thread may have removed it already.
            self._places.pop(project_id, None)
            return None, None
        return place.rank, place.task_id

    def note(self, project_id: int, *, place: tuple[int, int] | None, pages: int, seconds: float) -> None:
        """Record a scan: its position (None if it reached the end), the pages that it read, and its duration."""
        known = self._places.get(project_id)
        if known is not None:
            if place is not None:
                self._places[project_id] = _Place(*place, until=known.until)
        elif pages > PAGES:
            until = self._clock() + min(seconds / SHARE, LONGEST_SECONDS)
            self._places[project_id] = _Place(*(place or _END), until=until)
