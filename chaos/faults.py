"""The faults: what they do, and which comes when.

A fault is a class in FAULTS. All of them come before one comes again, in an order that the seed decides.
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil
import psycopg2

from chaos import processes
from chaos.disk import Disk
from chaos.ledger import Fault, Ledger
from chaos.plan import Plan
from chaos.proxy import Proxy
from chaos.scene import Scene

# From the beginning of one fault to that of the next, in seconds. Some last longer, so they overlap.
FIRST, SHORTEST_PAUSE, LONGEST_PAUSE = 3.0, 1.0, 5.0
# What a full disk has left. With little, tables still grow, and the write-ahead log can't, by its segments of 16 MiB.
LEFT_BYTES = (0, 3 << 20, 12 << 20)
# No fault begins in the last seconds of the load.
QUIET_SECONDS = 5.0
# For so long after the disk was full, the database may have crashed for it. It can't write its log meanwhile, which
# otherwise tells when it crashed; see chaos.postgreslog.
CRASH_SECONDS = 10.0


class Stage(NamedTuple):
    """What faults can reach."""

    scene: Scene
    disk: Disk
    proxy: Proxy
    ledger: Ledger


class Kind(NamedTuple):
    """A kind of fault. `seconds`: how long it lasts; (0, 0) if it only happens."""

    name: str
    begin: Callable[[Stage, random.Random], "Undo"]
    seconds: tuple[float, float] = (0.0, 0.0)
    crashes: bool = False


class Undo(NamedTuple):
    """What was done, in words, and how it ends."""

    detail: str
    undo: Callable[[], object] = lambda: None


class Planned(NamedTuple):
    """A fault to come. `seed` decides everything else about it."""

    at: float
    kind: Kind
    lasts: float
    seed: str


NOBODY = "nobody was there"
Find = Callable[[Stage, random.Random], psutil.Process | None]


def _killed(find: Find) -> Callable[[Stage, random.Random], Undo]:
    def begin(stage: Stage, chance: random.Random) -> Undo:
        found = find(stage, chance)
        return Undo(_named(found) if found is not None and processes.send(found, signal.SIGKILL) else NOBODY)

    return begin


def _stopped(find: Find) -> Callable[[Stage, random.Random], Undo]:
    def begin(stage: Stage, chance: random.Random) -> Undo:
        found = find(stage, chance)
        if found is None or not processes.send(found, signal.SIGSTOP):
            return Undo(NOBODY)
        return Undo(_named(found), lambda: processes.send(found, signal.SIGCONT))

    return begin


def _terminated(stage: Stage, chance: random.Random) -> Undo:
    """End a third of the database's connections."""
    try:
        rows = stage.scene.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND hashint4(pid # %(seed)s) %% 3 = 0",
            {"seed": chance.getrandbits(30)},
        )
    except psycopg2.Error as error:
        return Undo(f"the database didn't answer: {str(error).splitlines()[0]}")
    return Undo(f"{len(rows)} connections")


def _cut(stage: Stage, chance: random.Random) -> Undo:
    stage.proxy.is_cutting = True

    def undo() -> None:
        stage.proxy.is_cutting = False

    return Undo("connections through the proxy", undo)


def _full(stage: Stage, chance: random.Random) -> Undo:
    if not stage.disk.is_mounted:
        return Undo("left out: nothing can be mounted here")
    left = chance.choice(LEFT_BYTES)
    stage.disk.fill(left=left)
    return Undo(f"{left >> 20} MiB left", stage.disk.clear)


def _reload(stage: Stage, chance: random.Random) -> Undo:
    found = processes.serve(stage.scene.tracker)
    return Undo(_named(found) if found is not None and processes.send(found, signal.SIGUSR2) else NOBODY)


def _serve_killed(stage: Stage, chance: random.Random) -> Undo:
    return Undo(_killed(_of(processes.serve))(stage, chance).detail, stage.scene.start_again)


def _all_killed(stage: Stage, chance: random.Random) -> Undo:
    """As if the machine had failed, but for what it has written."""
    killed = [processes.send(one, signal.SIGKILL) for one in processes.everybody(stage.scene.tracker)]
    return Undo(f"{len(killed)} processes", stage.scene.start_again)


def _of(find: Callable[..., psutil.Process | None], *, is_drawn: bool = False) -> Find:
    return lambda stage, chance: find(stage.scene.tracker, chance) if is_drawn else find(stage.scene.tracker)


_WORKER, _BACKEND = _of(processes.web_worker, is_drawn=True), _of(processes.backend, is_drawn=True)
_ANY_OF_POSTGRES = _of(processes.any_of_postgres, is_drawn=True)
_MASTER, _SCHEDULER, _POSTMASTER = map(_of, (processes.web_master, processes.scheduler, processes.postmaster))

FAULTS = (
    Kind("web process killed", _killed(_WORKER)),
    Kind("web process stopped", _stopped(_WORKER), (1.0, 4.0)),
    Kind("web server killed", _killed(_MASTER)),
    Kind("web server stopped", _stopped(_MASTER), (1.0, 4.0)),
    Kind("scheduler killed", _killed(_SCHEDULER)),
    Kind("scheduler stopped", _stopped(_SCHEDULER), (2.0, 8.0)),
    Kind("connections ended", _terminated),
    Kind("backend killed", _killed(_BACKEND)),
    Kind("backend stopped", _stopped(_BACKEND), (1.0, 3.0)),
    Kind("database process killed", _killed(_ANY_OF_POSTGRES)),
    Kind("postmaster killed", _killed(_POSTMASTER)),
    Kind("postmaster stopped", _stopped(_POSTMASTER), (1.0, 4.0)),
    Kind("answers cut off", _cut, (1.0, 4.0)),
    Kind("disk full", _full, (3.0, 8.0), crashes=True),
    Kind("reload", _reload),
    Kind("serve killed", _serve_killed, (0.5, 3.0)),
    Kind("all killed", _all_killed, (0.5, 3.0)),
)


def schedule(plan: Plan) -> Iterator[Planned]:
    """The faults of a load, in order."""
    chance = random.Random(f"{plan.seed}:faults")
    kinds = [kind for kind in FAULTS if kind.name in plan.faults]
    at, number = FIRST, 0
    while kinds:
        for kind in chance.sample(kinds, len(kinds)):
            lasts = chance.uniform(*kind.seconds)
            if at + lasts > plan.seconds - QUIET_SECONDS:
                return
            yield Planned(at, kind, lasts, f"{plan.seed}:fault {number}")
            at += chance.uniform(SHORTEST_PAUSE, LONGEST_PAUSE)
            number += 1


async def play(planned: Iterator[Planned], stage: Stage) -> None:
    """Let the faults happen. When this returns or is cancelled, all have ended."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for one in planned:
            await asyncio.sleep(began + one.at - time.monotonic())
            group.create_task(_happen(one, stage))


async def _happen(planned: Planned, stage: Stage) -> None:
    at = time.time()
    done = await asyncio.to_thread(planned.kind.begin, stage, random.Random(planned.seed))
    try:
        await asyncio.sleep(planned.lasts)
    finally:
        # Also if this is cancelled.
        await asyncio.to_thread(done.undo)
        ended = time.time()
        after = CRASH_SECONDS if planned.kind.crashes else 0.0
        stage.ledger.add(Fault(planned.kind.name, done.detail, at, ended + after, planned.kind.crashes))


def _named(process: psutil.Process) -> str:
    return f"process {process.pid}"
