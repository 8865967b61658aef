"""Where fresh tasks begin, for when finding them has become slow.

Each lease leaves a dead entry at the head of task_fresh. A vacuum takes them away, but not while some session holds a
snapshot from before, be it a backup or a forgotten transaction; and each lease would step over all of them, more with
each second. So when a look at the index read many pages, this process remembers the place it got to, and for a while
looks only behind it.

In this time it passes over what came to lie before: tasks that were given back, and new ones with a higher priority. So
the time is short, and measured by what it saves: SHARE of the time goes into looking from the beginning. Where a vacuum
keeps up, which is nearly always, no place is remembered, and the order is exact.

It decides nothing but that, so each process has its own.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

# Pages of the index that a look may read before it counts as slow: some thousands of dead entries.
PAGES = 32
SHARE = 0.05
LONGEST_SECONDS = 1.0

# Behind everything.
_END = (-(2**15), 2**63 - 1)


class _Place(NamedTuple):
    priority: int
    task_id: int
    until: float


class Frontier:
    """The places of all projects. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[int, _Place] = {}

    def after(self, project_id: int) -> tuple[int, int] | tuple[None, None]:
        """The priority and id behind which to look; None for both: from the beginning."""
        place = self._places.get(project_id)
        if place is None:
            return None, None
        if self._clock() >= place.until:
            # Another thread may have done so.
            self._places.pop(project_id, None)
            return None, None
        return place.priority, place.task_id

    def note(self, project_id: int, *, place: tuple[int, int] | None, pages: int, seconds: float) -> None:
        """Where a look has got to, None for through all, how many pages it read, and how long it took."""
        known = self._places.get(project_id)
        if known is not None:
            if place is not None:
                self._places[project_id] = _Place(*place, until=known.until)
        elif pages > PAGES:
            until = self._clock() + min(seconds / SHARE, LONGEST_SECONDS)
            self._places[project_id] = _Place(*(place or _END), until=until)
