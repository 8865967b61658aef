"""How much is done in a run."""

from typing import NamedTuple


class Plan(NamedTuple):
    """The seed decides what the clients choose and which fault comes when; not how their requests meet."""

    seed: int
    seconds: float
    tasks: int
    clients: int
    #: The names of the kinds of faults that happen.
    faults: tuple[str, ...]

    @property
    def batch(self) -> int:
        """How many tasks a client submits or leases at a time: such that the clients can keep pace."""
        return min(500, max(5, round(self.tasks / self.seconds / 5)))
