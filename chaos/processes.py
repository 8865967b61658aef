"""Finds the processes of one tracker, by their parents and command lines; never by a name alone."""

import contextlib
import random
import signal

import psutil

from benchmarks.server import Tracker


def web_master(tracker: Tracker) -> psutil.Process | None:
    """gunicorn's master process."""
    return next((one for one in _children(tracker.pid) if "gunicorn" in _command(one)), None)


def web_worker(tracker: Tracker, chance: random.Random) -> psutil.Process | None:
    """One of the web processes."""
    master = web_master(tracker)
    return _one_of([] if master is None else _children(master.pid), chance)


def scheduler(tracker: Tracker) -> psutil.Process | None:
    return next((one for one in _children(tracker.pid) if "run_scheduler" in _command(one)), None)


def postmaster(tracker: Tracker) -> psutil.Process | None:
    pid = tracker.database.postmaster_pid()
    with contextlib.suppress(psutil.Error, TypeError):
        found = psutil.Process(pid)
        # The file may be left over, and its number be somebody else's by now.
        if pid is not None and found.name() == "postgres" and found.cwd() == str(tracker.database.data):
            return found
    return None


def backend(tracker: Tracker, chance: random.Random) -> psutil.Process | None:
    """One of the postmaster's processes that serves a connection of the tracker."""
    return _one_of([one for one in _postgres(tracker) if " tracker " in _command(one)], chance)


def any_of_postgres(tracker: Tracker, chance: random.Random) -> psutil.Process | None:
    """Any of the postmaster's processes, such as the one that writes the log ahead."""
    return _one_of(_postgres(tracker), chance)


def everybody(tracker: Tracker) -> list[psutil.Process]:
    """All processes of the tracker and of its database, parents first."""
    found = []
    for parent in (_process(tracker.pid), postmaster(tracker)):
        with contextlib.suppress(psutil.Error):
            found += [] if parent is None else [parent, *parent.children(recursive=True)]
    return found


def left_over(tracker: Tracker) -> list[psutil.Process]:
    """What still runs of the tracker and its database, whoever its parents are: its environment tells."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TRACKER_DATA_DIR") == tracker.env["TRACKER_DATA_DIR"]:
                found.append(process)
    return found


def serve(tracker: Tracker) -> psutil.Process | None:
    return _process(tracker.pid)


def send(process: psutil.Process, number: signal.Signals) -> bool:
    """Signal it, if it is still the same process. Returns whether it was."""
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)
        return True
    return False


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def _postgres(tracker: Tracker) -> list[psutil.Process]:
    found = postmaster(tracker)
    return [] if found is None else _children(found.pid)


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(psutil.Process(pid).children())
    return []


def _one_of(found: list[psutil.Process], chance: random.Random) -> psutil.Process | None:
    # Drawn in any case, so that the next draw doesn't depend on what was found.
    drawn = chance.random()
    return sorted(found, key=lambda one: one.pid)[int(drawn * len(found))] if found else None


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
