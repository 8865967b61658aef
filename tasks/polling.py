"""How often idle workers ask: when there is no task, each is told when to come back.

With ten thousand idle workers that ask every two seconds, the tracker would do nothing else. So each process hands out
turns, POLLS_PER_SECOND of them: all its idle workers together ask that often, however many there are, and a new task
still meets the next one within moments.
"""

import random
import threading
import time
from collections.abc import Callable

from django.conf import settings

POLLS_PER_SECOND = 25.0
# With more turns than this, those that have passed are forgotten.
_CLEAN_AT = 1_000


class IdlePolls:
    """The turns of one process. `clock` returns monotonic seconds, `chance` a number from 0 to 1."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        # By worker. One that asks before its turn keeps it, and so takes none from others.
        self._turns: dict[int, float] = {}
        self._last = 0.0
        self._clean_at = _CLEAN_AT

    def seconds(self, worker_id: int) -> int:
        """In how many seconds this worker, for which there was no task, should ask again."""
        now, least = self._clock(), settings.EMPTY_RETRY_AFTER
        with self._lock:
            turn = self._turns.get(worker_id, 0.0)
            if turn < now + least:
                self._last = max(self._last + 1 / POLLS_PER_SECOND, now + least)
                # Whole seconds can be told, so those who came at the same moment would keep coming at the same moment.
                turn = now + max((self._last - now) * (0.75 + self._chance() / 2), least)
                self._turns[worker_id] = turn
                self._clean(now)
        return round(turn - now)

    def _clean(self, now: float) -> None:
        """Forget the turns that have passed, once in a while."""
        if len(self._turns) > self._clean_at:
            self._turns = {worker: turn for worker, turn in self._turns.items() if turn > now}
            self._clean_at = _CLEAN_AT + 2 * len(self._turns)


idle_polls = IdlePolls()
