"""`python -m demo` on a few files instead of all, with and without disturbances."""

import contextlib
import json
import os
import signal
import tempfile

import psutil
import pytest

from demo import __main__ as demo
from demo.computation import COMPUTATIONS, computed, verification_hash
from demo.worker import Tracker
from tests.processes import eventually, gone
from tracker.postgres.server import EmbeddedServer


class WatchedDemo(demo.Demo):
    """Remembers its folder, the processes that it started, and those that a test killed."""

    made = None

    def __init__(self, folder, console):
        super().__init__(folder, console)
        WatchedDemo.made = self
        self.seen = []
        self.killed = []

    def server_processes(self):
        """A worker process of the web server, the scheduler and the postmaster, by name."""
        server = psutil.Process(self.server.pid)
        return {
            "worker": next(part for part in server.children() if "gunicorn" in command_of(part)).children()[0],
            "scheduler": next(part for part in server.children() if "run_scheduler" in command_of(part)),
            "postmaster": psutil.Process(self.postmaster_pid()),
        }

    def postmaster_pid(self):
        pid = EmbeddedServer(self.folder / "var" / "postgres").postmaster_pid()
        if pid is None:
            # It is not there, or the postmaster has made it and not yet filled it.
            raise FileNotFoundError("postmaster.pid")
        return pid

    def start_workers(self, address, project):
        super().start_workers(address, project)
        self.seen += psutil.Process(self.server.pid).children(recursive=True)
        self.seen += [psutil.Process(worker.pid) for worker in (*self.workers, *self.singles.values())]
        self.seen += [psutil.Process(self.server.pid), *self.server_processes().values()]

    def stop(self):
        for tracker in WatchedTracker.made:
            tracker.close()
        super().stop()
        self.server.stdout.close()


class WatchedTracker(Tracker):
    """Can be closed; the demo itself leaves that to the end of its process."""

    made = []

    def __init__(self, address):
        super().__init__(address)
        WatchedTracker.made.append(self)

    def close(self):
        if self._connection is not None:
            self._connection.close()


class DisturbedDemo(WatchedDemo):
    def start_workers(self, address, project):
        super().start_workers(address, project)
        tracker = WatchedTracker(address)

        def closed():
            stats = tracker.call("GET", "/worker/stats")["content"]["stats"]
            return sum(worker["closed_task_count"] for worker in stats)

        for name in ("worker", "scheduler", "postmaster"):
            before = closed()
            eventually(lambda before=before: closed() > before)
            victim = self.server_processes()[name]
            victim.kill()
            self.killed.append(victim)
            eventually(lambda victim=victim, name=name: self.replaced(victim, name))

    def replaced(self, victim, name):
        with contextlib.suppress(StopIteration, IndexError, FileNotFoundError, psutil.NoSuchProcess):
            found = self.server_processes()[name]
            self.seen.append(found)
            return found != victim
        return False


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@pytest.fixture
def folder(tmp_path_factory):
    """For temporary files. Its path is short enough for a socket."""
    return tmp_path_factory.mktemp("d")


@pytest.fixture
def run(monkeypatch, folder):
    """Runs the demo on the first `files` files and checks that nothing of it is left."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def run(files, cls):
        paths = demo.source_files()[:files]
        assert len(paths) == files
        monkeypatch.setattr(demo, "source_files", lambda: paths)
        monkeypatch.setattr(demo, "Demo", cls)
        monkeypatch.setattr(demo, "Tracker", WatchedTracker)
        code = demo.main()
        made = WatchedDemo.made
        assert not made.folder.exists()
        eventually(lambda: all(gone(process) for process in made.seen))
        return code, made

    yield run
    signal.signal(signal.SIGTERM, handler)
    for process in WatchedDemo.made.seen:
        if not gone(process):
            process.kill()


def test_it_works(run, capfd, folder):
    code, made = run(40, WatchedDemo)
    output = capfd.readouterr().out
    assert code == 0, output
    assert "40, each computed by two workers" in output
    assert "0 from a direct computation" in output
    assert "a long task    kept" in output
    assert "a late report  refused" in output
    assert str(made.folder) in output
    assert len(made.seen) > 10
    assert list(folder.iterdir()) == []


def test_finishes_although_processes_of_its_tracker_are_killed(run, capfd):
    code, made = run(1000, DisturbedDemo)
    output = capfd.readouterr().out
    assert code == 0, output
    assert "1,000, each computed by two workers" in output
    assert len(made.killed) == 3


def test_source_files_are_those_of_the_standard_library():
    paths = demo.source_files()
    assert len(paths) > 500
    assert paths == sorted(set(paths))
    assert os.__file__ in paths
    assert not [path for path in paths if "site-packages" in path]


# check


@pytest.fixture
def paths(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(f"{name} {name}\n")
    return [str(tmp_path / name) for name in ("a", "b", "c")]


SINGLES = {"slow": "kept", "sleeper": "refused"}


def hash_of(path, computation):
    return verification_hash(path, computation, computed(path, computation))


def closed(path, computation="lines", **changes):
    verification = hash_of(path, computation)
    task = {
        "recipe": json.dumps({"path": path, "compute": computation}),
        "verification": verification,
        "output": computed(path, computation),
        "votes": [verification],
        "retries": 0,
    }
    return task | changes


def test_check_finds_no_difference(paths):
    report = demo.check(paths, [closed(path) for path in paths], 2.0, SINGLES)
    assert report == demo.Report(tasks=3, seconds=2.0, retries=0, disagreements=0, differences=[], singles=SINGLES)


def test_check_finds_a_wrong_hash(paths):
    tasks = [closed(path) for path in paths]
    tasks[1]["verification"] += 1
    (difference,) = demo.check(paths, tasks, 1.0, SINGLES).differences
    assert difference == f"{paths[1]}: the agreed hash is not that of the direct computation"


def test_check_finds_a_wrong_output(paths):
    tasks = [closed(path) for path in paths]
    tasks[2]["output"] = "made up"
    (difference,) = demo.check(paths, tasks, 1.0, SINGLES).differences
    assert difference == f"{paths[2]}: the output made up is not that of the direct computation"


def test_check_finds_a_missing_task(paths):
    report = demo.check(paths, [closed(path) for path in paths[:2]], 1.0, SINGLES)
    assert report.differences == [f"{paths[2]}: closed 0 times"]


def test_check_finds_a_task_that_was_closed_twice(paths):
    report = demo.check(paths, [closed(path) for path in [*paths, paths[0]]], 1.0, SINGLES)
    assert report.differences == [f"{paths[0]}: closed 2 times"]


def test_check_counts_retries_and_disagreements(paths):
    verification = hash_of(paths[0], "lines")
    tasks = [
        closed(paths[0], retries=2, votes=[5, verification, 6]),
        closed(paths[1], retries=1),
        closed(paths[2]),
    ]
    report = demo.check(paths, tasks, 1.0, SINGLES)
    assert (report.retries, report.disagreements, report.differences) == (3, 2, [])


def test_check_finds_a_late_report_that_was_accepted(paths):
    report = demo.check(paths, [closed(path) for path in paths], 1.0, {"slow": "kept", "sleeper": "accepted"})
    assert report.differences == ["a report long after the end of its lease was accepted"]


@pytest.mark.parametrize(("missing", "code"), [(0, 0), (1, 1)])
def test_differences_decide_the_exit_code(paths, monkeypatch, capsys, missing, code):
    done = "".join(json.dumps(closed(path)) + "\n" for path in paths[missing:])
    instead = {"start_server": "http://x/", "fill": 1, "start_workers": None, "wait_until_closed": None, "manage": done}
    instead |= {"wake_sleeper": None, "said": "kept", "stop": None}
    for name, value in instead.items():
        monkeypatch.setattr(demo.Demo, name, lambda *arguments, value=value: value)
    monkeypatch.setattr(demo, "source_files", lambda: paths)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    assert demo.main() == code
    assert (f"{paths[0]}: closed 0 times" in capsys.readouterr().out.replace("\n", "")) == bool(missing)


@pytest.mark.parametrize("computation", COMPUTATIONS)
def test_hash_is_of_path_computation_and_content(tmp_path, computation):
    path, other = tmp_path / "a", tmp_path / "b"
    for one in (path, other):
        one.write_text("one two\ntwo\n")
    verification = hash_of(str(path), computation)
    assert -(2**63) <= verification < 2**63
    assert hash_of(str(path), computation) == verification
    assert hash_of(str(other), computation) != verification
    path.write_text("three four five\nfour\nsix\n")
    assert hash_of(str(path), computation) != verification


@pytest.mark.parametrize(
    ("computation", "result"), [("lines", "2"), ("words", "3"), ("different words", "2")], ids=lambda value: value
)
def test_computations(computation, result):
    assert COMPUTATIONS[computation](b"one two\ntwo\n") == result
