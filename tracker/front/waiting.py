"""Calls that wait until there is something for them. They hold no thread and no database connection.

A few times a second, one statement asks what there is of all that is waited for, and as many are woken as it is enough
for, the longest waiting first. No LISTEN and NOTIFY: NOTIFY takes a lock of the whole database at each commit, and
LISTEN needs a session of its own, which a connection pooler doesn't give.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable

from tracker import db
from tracker.api.errors import Busy
from tracker.front.connection import Done
from tracker.steps import Query, Rows, Supply, Wait

#: Seconds between two looks, as long as a look takes no more than a fifth of that.
LOOK_SECONDS = 0.1
#: Of one key, how much is looked for at most.
LARGEST_AMOUNT = 1_000


class Crowded(Busy):
    """Too many calls are waiting already; call again without `wait`, or later."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.headers = {"Retry-After": str(seconds)}


class Waiter:
    """One call that waits."""

    __slots__ = ("done", "end", "particular_from", "rest_until", "wait")

    def __init__(self, wait: Wait, done: Done, now: float) -> None:
        self.wait, self.done = wait, done
        self.rest_until = now + wait.rest
        self.particular_from = now + wait.particular
        self.end: asyncio.TimerHandle | None = None


class WaitingRoom:
    """Those that wait for one supply. `query` runs a query; at most `size` calls may wait."""

    def __init__(self, supply: Supply, query: Callable[[Query, Done], None], size: int) -> None:
        self._supply, self._query, self._size = supply, query, size
        # The longest waiting first.
        self._waiters: dict[Waiter, None] = {}
        self._wanted: Counter[int] = Counter()
        self._looks = False
        self._refused = itertools.count()

    def wait(self, wait: Wait, done: Done) -> Waiter | None:
        """Call `done` when there may be something, or when the time is over; with Crowded, at once."""
        if len(self._waiters) >= self._size:
            # Spread, so that they don't all come back at the same moment.
            done(None, Crowded(5 + next(self._refused) % 16))
            return None
        loop = asyncio.get_running_loop()
        waiter = Waiter(wait, done, loop.time())
        waiter.end = loop.call_later(wait.seconds, self.dismiss, waiter)
        self._waiters[waiter] = None
        for key in wait.keys:
            self._wanted[key] += wait.amount
        if not self._looks:
            self._looks = True
            loop.call_later(LOOK_SECONDS, self.look)
        return waiter

    def dismiss(self, waiter: Waiter) -> None:
        """The time of this one is over."""
        if self._remove(waiter):
            waiter.done([], None)

    def wake(self, waiter: Waiter) -> None:
        """It is worth a try for this one, whatever there is."""
        if self._remove(waiter):
            waiter.done([(True,)], None)

    def look(self) -> None:
        """Ask what there is, and wake those for whom it is enough."""
        if not self._waiters:
            self._looks = False
            return
        loop = asyncio.get_running_loop()
        began = loop.time()

        def seen(rows: Rows | None, error: Exception | None) -> None:
            # With an error, the next look may do; and who waits is told when it calls again.
            loop.call_later(max(LOOK_SECONDS, 5 * (loop.time() - began)), self.look)
            self._wake(rows or [], began)

        amounts = [min(amount, LARGEST_AMOUNT) for amount in self._wanted.values()]
        self._query(Query(self._supply.statement, {"keys": db.array(self._wanted), "amounts": db.array(amounts)}), seen)

    def _wake(self, rows: Rows, now: float) -> None:
        anybodys = {key: amount for key, amount, _ in rows if amount}
        particular = {key: amount for key, _, amount in rows if amount}
        woken = []
        for waiter in self._waiters:
            if not anybodys and not particular:
                break
            if waiter.rest_until <= now and (
                _take(anybodys, waiter.wait) or (waiter.particular_from <= now and _take(particular, waiter.wait))
            ):
                woken.append(waiter)
        for waiter in woken:
            if self._remove(waiter):
                waiter.done([(True,)], None)

    def _remove(self, waiter: Waiter) -> bool:
        if waiter not in self._waiters:
            return False
        del self._waiters[waiter]
        if waiter.end is not None:
            waiter.end.cancel()
        for key in waiter.wait.keys:
            self._wanted[key] -= waiter.wait.amount
            if not self._wanted[key]:
                del self._wanted[key]
        return True


def _take(amounts: dict[int, int], wait: Wait) -> bool:
    """Take what this one wants of one of its keys, or what is left of it. Returns whether there was any."""
    key = next((key for key in amounts if key in wait.keys), None)
    if key is None:
        return False
    amounts[key] -= wait.amount
    if amounts[key] <= 0:
        del amounts[key]
    return True
