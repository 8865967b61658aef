"""One of the clients that make the load: a worker's identity, a connection, and choices of its own."""

import asyncio
import random
from collections import Counter

from chaos.client import Answer, Client
from chaos.ledger import Ledger
from chaos.plan import Plan
from chaos.scene import Scene

SHORTEST_REST, LONGEST_REST = 0.05, 1.0


class Member:
    """A client with what it needs. `tally` counts what all members have done so far."""

    def __init__(self, client: Client, plan: Plan, scene: Scene, ledger: Ledger, tally: Counter[str]) -> None:
        self.client, self.plan, self.scene, self.ledger, self.tally = client, plan, scene, ledger, tally
        self.number = client.number
        self.worker, _ = scene.workers[self.number % len(scene.workers)]
        client.headers = list(scene.identities())[self.number % len(scene.workers)]
        # Each has a generator of its own, so what one chooses doesn't depend on how fast the others are.
        self.chance = random.Random(f"{plan.seed}:{self.number}")
        self._recipes = self._keys = 0

    def recipe(self) -> str:
        """A recipe that nobody else has."""
        self._recipes += 1
        return f"{self.plan.seed}-{self.number}-{self._recipes}"

    def key(self) -> str | None:
        """An Idempotency-Key for the next request, for half of them."""
        if self.chance.random() < 0.5:
            return None
        self._keys += 1
        return f"{self.number}-{self._keys}"

    async def rest(self, answer: Answer) -> None:
        """Wait before the next request, as told or, without an answer, for a moment."""
        told = answer.body.get("rate_limit_delay") or self.chance.uniform(SHORTEST_REST, LONGEST_REST / 2)
        await asyncio.sleep(min(LONGEST_REST, told))
