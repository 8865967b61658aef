"""The load: members that act, a manager that sweeps, and a reader of results, all at once until the time is over."""

import asyncio
import random
import time
from collections import Counter

from chaos import verbs
from chaos.actions import ACTIONS, SUBMITTING
from chaos.client import Client
from chaos.ledger import OK, Ledger, Seen, Sweep
from chaos.member import Member
from chaos.plan import Plan
from chaos.proxy import Proxy
from chaos.scene import Place, Scene
from chaos.verbs import Held, Report, honest

# Every so many members go through the proxy, which loses answers.
PROXIED = 3
# All tasks should be submitted by this part of the time.
SUBMITTED_BY = 0.9
# Members pause for up to so long between two actions, or a small number of tasks would be over at once.
LONGEST_PAUSE = 0.02
# How often the manager sweeps, and how often results are read, in seconds.
SWEEP_SECONDS, READ_SECONDS = (1.0, 4.0), 0.5
# How long everything may take to be worked off at the end. Only bounds a hang.
DRAIN_SECONDS = 240
# How long a call may still be under way whose client has given it up.
LOST_SECONDS = 60.0
DRAIN_BATCH = 200


class Load:
    """Everything that talks to the tracker."""

    def __init__(self, plan: Plan, scene: Scene, ledger: Ledger) -> None:
        self.plan, self.scene, self.ledger = plan, scene, ledger
        self.statuses: Counter[str] = Counter()
        self.tally: Counter[str] = Counter()
        #: How many tasks each worker has closed at the end, as the tracker tells.
        self.told: dict[int, int] = {}
        chance = random.Random(f"{plan.seed}:proxy")
        self.proxy = Proxy(lambda: asyncio.open_connection(*scene.address), chance)
        self._members: list[Member] = []
        self._began = 0.0
        self._is_over = False
        self._is_drained = False
        self._cursors: dict[str, str] = {}

    async def run(self) -> None:
        """Act until the time is over."""
        port = await self.proxy.start()
        proxied = ("127.0.0.1", port)
        for number in range(self.plan.clients):
            address = proxied if number % PROXIED == 0 else self.scene.address
            self._members.append(self._member(number, address))
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._act(member))
            group.create_task(self._sweep())
            group.create_task(self._read())
            await asyncio.sleep(self.plan.seconds)
            self._is_over = True

    async def drain(self) -> None:
        """Work off all tasks, if that is possible, and read all results."""
        self.proxy.is_quiet = True
        manager = self._manager()
        await self._sweep_once(manager, self.scene.places["swept"], "reset")
        manager.close()
        deadline = time.monotonic() + DRAIN_SECONDS
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._work_off(member))
            while await self._left() and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
            self._is_drained = True
        reader = self._member(self.plan.clients)
        for place in self.scene.places.values():
            while await self._read_once(reader, place):
                pass
        stats = (await reader.client.call("GET", "/worker/stats")).content["stats"]
        self.told = {worker["id"]: worker["closed_task_count"] for worker in stats}
        reader.client.close()
        for member in self._members:
            member.client.close()
        await self.proxy.stop()

    def _member(self, number: int, address: tuple[str, int] | None = None) -> Member:
        client = Client(number, address or self.scene.address, self.ledger, self.statuses)
        return Member(client, self.plan, self.scene, self.ledger, self.tally)

    async def _act(self, member: Member) -> None:
        actions, weights = zip(*ACTIONS, strict=True)
        while not self._is_over:
            action = member.chance.choices(actions, weights)[0]
            if action not in SUBMITTING or self._may_submit():
                await action(member)
            await asyncio.sleep(member.chance.uniform(0, LONGEST_PAUSE))

    def _may_submit(self) -> bool:
        """Whether tasks are due: they come evenly."""
        passed = (time.monotonic() - self._began) / (SUBMITTED_BY * self.plan.seconds)
        return self.tally["submitted"] < self.plan.tasks * min(1.0, passed)

    def _manager(self) -> Client:
        client = Client(self.plan.clients + 1, self.scene.address, self.ledger, self.statuses)
        client.headers = {"Cookie": self.scene.cookie}
        return client

    async def _sweep(self) -> None:
        """As a manager: reclaim all leases of a project, or make its failed tasks ready."""
        client, chance = self._manager(), random.Random(f"{self.plan.seed}:manager")
        while not self._is_over:
            await self._sweep_once(client, self.scene.places["swept"], chance.choice(("reclaim", "reset")))
            await asyncio.sleep(chance.uniform(*SWEEP_SECONDS))
        client.close()

    async def _sweep_once(self, client: Client, place: Place, action: str) -> None:
        path = {"reclaim": "reclaim_assigned_tasks", "reset": "reset_failed_tasks"}[action]
        answer = await client.call("POST", f"/project/{path}/{place.id}")
        if not answer.changed_nothing:
            # Nobody knows when it was done, if it was, where there was no answer.
            until = answer.answered + (0 if answer.is_good else LOST_SECONDS)
            self.ledger.add(Sweep(place.id, action, answer.sent, until))

    async def _read(self) -> None:
        """Follow the results of all projects."""
        reader = self._member(self.plan.clients)
        while not self._is_over:
            for place in self.scene.places.values():
                await self._read_once(reader, place)
            await asyncio.sleep(READ_SECONDS)
        reader.client.close()

    async def _read_once(self, reader: Member, place: Place) -> bool:
        """Read what has closed since. Returns whether there may be more."""
        cursor = self._cursors.get(place.name)
        after = f"&after={cursor}" if cursor else ""
        answer = await reader.client.call("GET", f"/project/results/{place.id}?count=1000{after}")
        if answer.status != 200:
            await reader.rest(answer)
            return not self._is_over or not answer.is_good
        self._cursors[place.name] = answer.content["after"]
        self.ledger.add(*(Seen(place.id, one["id"]) for one in answer.content["results"]))
        return bool(answer.content["more"])

    async def _work_off(self, member: Member) -> None:
        """Report everything as OK, until nothing is left."""
        places = list(self.scene.places.values())
        member.chance.shuffle(places)
        held: list[Held] = []
        while not self._is_drained:
            for place in places:
                while not self._is_drained:
                    reports = [Report(one, OK, honest(one.recipe)) for one in held]
                    _, held = await verbs.exchange(member, place, reports, count=DRAIN_BATCH)
                    if not held:
                        break
            await asyncio.sleep(0.5)

    async def _left(self) -> int:
        """How many tasks are neither closed nor failed."""
        statement = "SELECT count(*) FROM tasks_task WHERE status <> 2"
        ((left,),) = await asyncio.to_thread(self.scene.sql, statement)
        return int(left)
