"""Runs the tracker under load while its processes are killed and its disk fills up, and checks that nothing is lost.

The exit status is 1 if a promise of docs/guarantees.md was broken.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.server import BenchmarkError
from chaos import checker, disk, faults, postgreslog, processes, report, stored
from chaos.ledger import CRASH, Fault, Ledger
from chaos.load import Load
from chaos.plan import Plan
from chaos.scene import Scene

PROGRESS_SECONDS = 10
# Of the output, if it does not go to a terminal.
WIDTH = 140
# How long the tracker may take to answer again after the last fault. Only bounds a hang.
RECOVERY_SECONDS = 120

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NAMES = tuple(kind.name for kind in faults.FAULTS)


def arguments(given: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the choices and the faults of a run; default: another one")
    parser.add_argument("--seconds", type=float, default=600, help="duration of the load (default: %(default)g)")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="how many are submitted (default: %(default)d)")
    parser.add_argument("--clients", type=int, default=24, help="connections at a time (default: %(default)d)")
    parser.add_argument(
        "--faults", type=_kinds, default=NAMES, help=f"only these, separated by commas: {', '.join(NAMES)}"
    )
    parser.add_argument("--keep", action="store_true", help="keep the ledger and the logs even if nothing was broken")
    options = parser.parse_args(given)
    if options.seconds <= 0 or options.tasks < 1 or options.clients < 1:
        parser.error("--seconds, --tasks and --clients have to be positive.")
    return options


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(text.split(",")) if text else ()
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"there is no fault {name!r}.")
    return names


@contextlib.contextmanager
def running(folder: Path, plan: Plan) -> Iterator[tuple[Scene, disk.Disk]]:
    """A tracker in the folder, whose data has a disk of its own; all is gone at the end of the block."""
    scene = Scene(folder)
    own = disk.Disk(folder / "tracker", plan.tasks)
    try:
        own.mount()
        scene.start()
        yield scene, own
    finally:
        # Another one would leave processes behind.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        own.clear()
        scene.tracker.stop()
        for process in processes.left_over(scene.tracker):
            processes.send(process, signal.SIGKILL)
        with contextlib.suppress(OSError):
            shutil.copy(scene.tracker.database.log, folder / "postgresql.log")
            shutil.copy(folder / "tracker" / "tracker.log", folder / "tracker.log")
        own.unmount()
        shutil.rmtree(folder / "tracker", ignore_errors=True)


async def act(load: Load, stage: faults.Stage, console: Console) -> None:
    """The load with its faults, and then the rest of the work without them."""
    progress = asyncio.create_task(_tell(load, console))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            group.create_task(faults.play(faults.schedule(load.plan), stage))
        await asyncio.to_thread(_recovered, stage.scene)
        console.print("The load is over; working off what is left.")
        await load.drain()
    finally:
        progress.cancel()


async def _tell(load: Load, console: Console) -> None:
    """Print every few seconds how it goes."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        done = "  ".join(f"{load.tally[name]:,} {name}" for name in ("submitted", "leased", "closed"))
        answers = "  ".join(f"{status}: {count:,}" for status, count in sorted(load.statuses.items()))
        console.print(f"{time.monotonic() - began:4.0f} s  {done}  |  {answers}", markup=False, highlight=False)


def _recovered(scene: Scene) -> None:
    """Wait until the database answers. Raises BenchmarkError if it doesn't."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            scene.sql("SELECT 1")
            return
        except Exception as error:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"The database didn't come back by itself: {error}") from error
        time.sleep(0.1)


def run(folder: Path, plan: Plan, console: Console) -> report.Run:
    """Run everything in the folder, which then has the ledger and the tracker's logs. Raises BenchmarkError."""
    ledger = Ledger(folder / "ledger.sqlite")
    with running(folder, plan) as (scene, own):
        if not own.is_mounted:
            console.print("Nothing can be mounted here, so the disk is not filled.")
        load = Load(plan, scene, ledger)
        stage = faults.Stage(scene, own, load.proxy, ledger)
        began = time.monotonic()
        try:
            asyncio.run(act(load, stage, console))
        except ExceptionGroup as group:
            raise _first_of(group) from group
        seconds = time.monotonic() - began
        ledger.add(
            *(
                Fault(CRASH, "by its own log", at, at, True)
                for at in postgreslog.crashes(scene.tracker.database.log.read_text(errors="replace"))
            )
        )
        ledger.complete()
        console.print("Comparing the ledger with the database.")
        stored.copy(scene.sql, ledger)
        breaches = checker.check(checker.Evidence(ledger, scene.sql, list(scene.places.values()), load.told))
    return report.Run(seconds, ledger, load.statuses, load.proxy.cuts, breaches, load.tally["repeated"])


def _first_of(error: Exception) -> Exception:
    """The first of the errors in a group of groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    options = arguments(sys.argv[1:])
    disk.enter_namespace()
    # SIGTERM and SIGHUP (a closed terminal) end it like Ctrl-C, with clean-up. SIGINT is set as well, since a shell
    # may start background processes with SIGINT ignored.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    plan = Plan(seed, options.seconds, options.tasks, options.clients, options.faults)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(f"Seed {seed}: {plan.tasks:,} tasks in {plan.seconds:g} seconds by {plan.clients} clients.")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    # Whatever happens, what tells why is kept.
    is_kept, code = True, 1
    try:
        outcome = run(folder, plan, console)
        report.show(outcome, console)
        outcome.ledger.close()
        is_kept, code = options.keep or not outcome.is_good, int(not outcome.is_good)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        is_kept, code = options.keep, 130
    except BenchmarkError as error:
        console.print(f"Aborted: {error}", markup=False)
    finally:
        if is_kept:
            told = f"The ledger and the tracker's logs are in {folder}; --seed {seed} repeats the faults."
            console.print(told, soft_wrap=True, highlight=False)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
