"""The supervisor, with tiny programs as parts."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.processes import PATIENCE_SECONDS
from tracker.serve import supervisor
from tracker.serve.supervisor import Part

STOP_SECONDS = 4.0
SLEEPS = "import time; time.sleep(600)"
FOLLOWS = f"from tracker.serve.supervisor import follow_supervisor; follow_supervisor(); {SLEEPS}"
# Creates the given file once it ignores the signal.
IGNORES_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(600)
"""
# Writes its child's process id to the given file.
HAS_A_CHILD = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(child.pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


class Until(threading.Event):
    """The event that stops the supervisor, set as soon as the condition holds."""

    def __init__(self, condition):
        super().__init__()
        self.condition = condition
        self.deadline = time.monotonic() + PATIENCE_SECONDS

    def wait(self, seconds):
        if threading.current_thread() is not threading.main_thread():
            return super().wait(seconds)
        assert time.monotonic() < self.deadline
        time.sleep(0.01)
        if self.condition():
            self.set()
        return self.is_set()


@pytest.fixture
def part():
    """Makes parts from lines of Python, and ends them after the test."""
    made = []

    def make(program, *arguments, **options):
        made.append(Part("part", [sys.executable, "-c", program, *map(str, arguments)], **options))
        return made[-1]

    yield make
    for one in made:
        one.end(deadline=0)


@pytest.fixture
def clock(monkeypatch):
    """The supervisor's clock, which the test sets forward."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(supervisor, "time", clock)
    return clock


@pytest.fixture
def keeps_waiting(clock, monkeypatch):
    """Makes the supervisor's clock run out while it waits for the part; returns the times that it allowed to any."""
    allowed = []

    def keeps_waiting(part, meanwhile=nothing):
        wait = part.process.wait

        def wait_in_vain(timeout=None):
            if timeout is None:
                return wait()
            meanwhile()
            allowed.append(timeout)
            clock.now += timeout
            raise subprocess.TimeoutExpired(part.command, timeout)

        monkeypatch.setattr(part.process, "wait", wait_in_vain)
        return allowed

    return keeps_waiting


def eventually(condition):
    until = Until(condition)
    while not until.wait(0):
        pass


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(part):
    part.process.kill()
    part.process.wait(PATIENCE_SECONDS)


def nothing():
    """A look_after that does nothing."""


def supervise(parts, *, seconds=STOP_SECONDS, **options):
    supervisor.supervise(parts, seconds=seconds, **options)


def test_runs_the_parts_until_it_is_stopped(part):
    parts = [part(SLEEPS), part(SLEEPS)]
    for one in parts:
        one.start()
    seen = []

    def enough():
        seen.append([one.process.poll() for one in parts])
        return len(seen) == 5

    supervise(parts, stop=Until(enough), look_after=nothing)
    assert seen == [[None, None]] * 5
    assert [one.process.returncode for one in parts] == [-signal.SIGTERM] * 2


def test_part_that_was_killed_is_started_again(part, clock, caplog):
    one = part(SLEEPS)
    one.start()
    first = one.process.pid
    clock.now += supervisor.HEALTHY_SECONDS + 1
    kill(one)
    supervise([one], stop=Until(lambda: one.process.pid != first), look_after=nothing)
    assert gone(one.process.pid)
    assert caplog.messages == ["The part ended (killed by SIGKILL); starting it again."]


def test_part_that_ended_by_itself_is_started_again(part, tmp_path, clock, caplog):
    one = part("import sys; open(sys.argv[1], 'a').write('x'); sys.exit(3)", tmp_path / "starts")
    one.start()

    def thrice():
        clock.now += 100
        return (tmp_path / "starts").exists() and len((tmp_path / "starts").read_text()) >= 3

    supervise([one], stop=Until(thrice), look_after=nothing)
    assert "The part ended (exit code 3); starting it again." in caplog.messages


def test_part_that_lives_is_left_alone(part):
    one = part(SLEEPS)
    one.start()
    first = one.process
    for _ in range(5):
        one.revive()
    assert one.process is first


def test_part_that_was_not_started_is_left_alone(part):
    one = part(SLEEPS)
    one.revive()
    one.terminate()
    one.end(deadline=0)
    assert one.process is None


def pause_of(one, clock):
    """Kill the part; returns the seconds until it is started again."""
    kill(one)
    died, pid = clock.now, one.process.pid
    for _ in range(1000):
        one.revive()
        if one.process.pid != pid:
            return clock.now - died
        clock.now += 0.5
    raise AssertionError("never")


def test_part_that_keeps_dying_is_started_again_with_backoff(part, clock, caplog):
    one = part(SLEEPS)
    one.start()
    assert [pause_of(one, clock) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(caplog.messages) == 8


def test_part_that_lived_long_is_started_again_at_once(part, clock):
    one = part(SLEEPS)
    one.start()
    assert [pause_of(one, clock) for _ in range(3)] == [1, 2, 4]
    clock.now += supervisor.HEALTHY_SECONDS + 1
    assert [pause_of(one, clock) for _ in range(3)] == [0, 1, 2]


def test_dying_part_does_not_hold_up_the_others(part):
    dying, other = part("raise SystemExit(1)"), part(SLEEPS)
    for one in (dying, other):
        one.start()
    dying.process.wait(PATIENCE_SECONDS)
    first = other.process.pid
    kill(other)
    other._started -= supervisor.HEALTHY_SECONDS + 1
    supervise([dying, other], stop=Until(lambda: other.process.pid != first), look_after=nothing)


def test_look_after_is_called_repeatedly_in_one_thread(monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.01)
    looks = []
    supervise([], stop=Until(lambda: len(looks) >= 3), look_after=lambda: looks.append(threading.current_thread()))
    eventually(lambda: not looks[0].is_alive())
    assert len(set(looks)) == 1


def test_stop_does_not_wait_for_look_after(part, monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.01)
    looking, leave = threading.Event(), threading.Event()
    one = part(SLEEPS)
    one.start()

    def slow():
        looking.set()
        leave.wait(PATIENCE_SECONDS)

    supervise([one], stop=Until(looking.is_set), look_after=slow)
    assert not leave.is_set()
    assert gone(one.process.pid)
    leave.set()


def test_look_after_is_called_again_after_a_failure(monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.01)
    looks = []

    def fail_once():
        looks.append(1)
        if len(looks) == 1:
            raise OSError("broken")

    supervise([], stop=Until(lambda: len(looks) >= 2), look_after=fail_once)


def test_exception_ends_everything(part):
    one = part(SLEEPS)
    one.start()

    def fail():
        raise RuntimeError("broken")

    stop = Until(fail)
    with pytest.raises(RuntimeError, match="broken"):
        supervise([one], stop=stop, look_after=nothing)
    assert gone(one.process.pid)
    assert stop.is_set()


def test_part_may_finish_what_it_does(part, tmp_path):
    program = """
import signal, sys, time
def finish(*_):
    time.sleep(0.2)
    open(sys.argv[1], "w").write("done")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
open(sys.argv[2], "w")
time.sleep(600)
"""
    one = part(program, tmp_path / "result", tmp_path / "ready")
    one.start()
    supervise([one], stop=Until((tmp_path / "ready").exists), look_after=nothing, seconds=PATIENCE_SECONDS)
    assert (tmp_path / "result").read_text() == "done"
    assert one.process.returncode == 0


def test_part_that_ignores_sigterm_is_killed(part, tmp_path, caplog, keeps_waiting):
    stubborn, willing = part(IGNORES_SIGTERM, tmp_path / "ready"), part(SLEEPS)
    for one in (stubborn, willing):
        one.start()
    keeps_waiting(stubborn, meanwhile=lambda: eventually(lambda: gone(willing.process.pid)))
    supervise([stubborn, willing], stop=Until((tmp_path / "ready").exists), look_after=nothing)
    assert [stubborn.process.returncode, willing.process.returncode] == [-signal.SIGKILL, -signal.SIGTERM]
    assert caplog.messages == ["The part did not stop in time; killing it."]


def test_all_parts_share_one_deadline(part, tmp_path, keeps_waiting):
    parts = [part(IGNORES_SIGTERM, tmp_path / str(number)) for number in range(5)]
    for one in parts:
        one.start()
    eventually(lambda: len(list(tmp_path.iterdir())) == 5)
    for one in parts:
        allowed = keeps_waiting(one)
    supervise(parts, stop=Until(lambda: True), look_after=nothing)
    assert allowed == [STOP_SECONDS, 0, 0, 0, 0]
    assert all(gone(one.process.pid) for one in parts)


@pytest.mark.parametrize("child", [SLEEPS, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS])
def test_children_of_a_part_end_with_it(part, tmp_path, child):
    one = part(HAS_A_CHILD, tmp_path / "child", child)
    one.start()
    supervise([one], stop=Until((tmp_path / "child").exists), look_after=nothing)
    pid = int((tmp_path / "child").read_text())
    eventually(lambda: gone(pid))


def test_children_of_a_part_that_had_died_end_too(part, tmp_path):
    one = part(HAS_A_CHILD, tmp_path / "child", SLEEPS)
    one.start()
    eventually((tmp_path / "child").exists)
    pid = int((tmp_path / "child").read_text())
    kill(one)
    assert not gone(pid)
    supervise([one], stop=Until(lambda: True), look_after=nothing)
    eventually(lambda: gone(pid))


def test_part_has_a_session_of_its_own_and_no_input(part, tmp_path):
    program = """
import os, sys, time
assert os.getsid(0) == os.getpid()
assert sys.stdin.read() == ""
open(sys.argv[1], "w")
"""
    one = part(program, tmp_path / "result")
    one.start()
    assert one.process.wait(PATIENCE_SECONDS) == 0


def test_part_inherits_only_the_given_file_descriptors(part):
    passed, kept = os.pipe()
    program = """
import os, sys
os.fstat(int(sys.argv[1]))
try:
    os.fstat(int(sys.argv[2]))
except OSError:
    sys.exit(0)
sys.exit(1)
"""
    try:
        os.set_inheritable(kept, True)
        one = part(program, passed, kept, pass_fds=[passed])
        one.start()
        assert one.process.wait(PATIENCE_SECONDS) == 0
    finally:
        os.close(passed)
        os.close(kept)


REPORTS = f"""
import sys
from tracker.serve.supervisor import report_ready
for _ in range(int(sys.argv[1])):
    report_ready(3)
open(sys.argv[2], "w").close()
{SLEEPS}
"""


@pytest.mark.parametrize(("processes", "ready"), [(0, False), (2, False), (3, True), (4, True)])
def test_part_is_ready_when_all_its_processes_have_said_so(part, tmp_path, processes, ready):
    one = part(REPORTS, processes, tmp_path / "done")
    one.start()
    eventually((tmp_path / "done").exists)
    assert [one.is_ready() for _ in range(2)] == [ready] * 2


def test_process_without_a_supervisor_has_nobody_to_tell(monkeypatch):
    monkeypatch.delenv(supervisor.READINESS, raising=False)
    supervisor.report_ready(1)
    # Nor when that has closed the pipe.
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setenv(supervisor.READINESS, str(writer))
    supervisor.report_ready(1)
    os.close(writer)


def test_retired_part_ends_and_is_not_started_again(part):
    one = part(SLEEPS)
    one.start()
    assert not one.is_over()
    one.retire(PATIENCE_SECONDS)
    eventually(one.is_over)
    one.revive()
    assert one.exit_code == -signal.SIGTERM


def test_retired_part_that_takes_too_long_is_killed(part, tmp_path, clock, caplog):
    one = part(IGNORES_SIGTERM, tmp_path / "ready")
    one.start()
    eventually((tmp_path / "ready").exists)
    one.retire(5)
    clock.now += 4
    assert not one.is_over()
    clock.now += 2
    assert one.is_over()
    assert one.exit_code == -signal.SIGKILL
    assert caplog.messages == ["The part did not stop in time; killing it."]


def test_part_that_does_its_work_once(part):
    one = part("raise SystemExit(3)", once=True)
    one.start()
    eventually(one.is_over)
    one.revive()
    assert one.exit_code == 3


def test_programs_that_a_part_runs_once_are_told_to_end_with_it(part, tmp_path):
    clears_up = f"""
import signal, sys
def clear_up(*_):
    open({str(tmp_path / "cleared")!r}, "w").close()
    sys.exit()
signal.signal(signal.SIGTERM, clear_up)
open({str(tmp_path / "ready")!r}, "w").close()
{SLEEPS}
"""
    one = part(HAS_A_CHILD, tmp_path / "child", clears_up, once=True)
    one.start()
    eventually(lambda: (tmp_path / "child").exists() and (tmp_path / "ready").exists())
    pid = int((tmp_path / "child").read_text())
    supervise([one], stop=Until(lambda: True), look_after=nothing)
    eventually(lambda: gone(pid))
    assert (tmp_path / "cleared").exists()


def test_parts_may_change_while_they_are_supervised(part):
    parts = []
    later = part(SLEEPS)

    def tend():
        if not parts:
            parts.append(later)
            later.start()

    closed = []
    supervise(
        parts,
        stop=Until(lambda: bool(parts)),
        look_after=nothing,
        tend=tend,
        close=lambda: closed.append(later.exit_code),
    )
    assert later.exit_code == -signal.SIGTERM
    assert closed == [None]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a process when its parent dies")
def test_part_ends_when_the_supervisor_is_killed():
    program = f"""
import sys, time
from tracker.serve.supervisor import Part
part = Part("part", [sys.executable, "-c", {FOLLOWS!r}])
part.start()
print(part.process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        assert not gone(pid)
        process.kill()
    eventually(lambda: gone(pid))
