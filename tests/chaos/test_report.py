"""What a run says, and its exit status."""

import contextlib
import io
import signal
import sqlite3
import sys
import tempfile
from collections import Counter

import pytest
from rich.console import Console

from benchmarks.server import BenchmarkError
from chaos import __main__ as chaos
from chaos import report, stored
from chaos.checker import COUNTS, LOST, Breach
from chaos.ledger import CRASH, Fault, Gap, Ledger, Submit
from chaos.report import Run

SUBMIT = Submit("a recipe", 1, True, 100.0, 100.5, "stored", 7)


@pytest.fixture
def made(tmp_path):
    """Makes the outcome of a run with faults and waits in its ledger."""
    ledgers = []

    def make(path=tmp_path / "made.sqlite", *, statuses=None, breaches=()):
        ledger = Ledger(path)
        ledgers.append(ledger)
        ledger.add(
            SUBMIT,
            Fault("web process killed", "process 1", 110.0, 110.0, False),
            Fault("postmaster killed", "process 2", 120.0, 120.0, False),
            Fault(CRASH, "by its own log", 120.4, 120.4, True),
            Fault("postmaster killed", "process 3", 130.0, 130.0, False),
            # Under way when the postmaster was killed, and in the middle of it.
            Gap(1, 119.9, 120.9),
            Gap(2, 120.5, 123.5),
        )
        ledger.complete()
        stored.copy(lambda statement, values: [], ledger)
        return Run(10.0, ledger, Counter(statuses or {"200": 20}), 0, list(breaches))

    yield make
    for ledger in ledgers:
        with contextlib.suppress(sqlite3.ProgrammingError):
            # Unless the run has closed it.
            ledger.close()


def shown(run):
    console = Console(width=140, file=io.StringIO())
    report.show(run, console)
    return [" ".join(line.replace("│", " ").split()) for line in console.file.getvalue().splitlines()]


def test_each_fault_has_the_waits_that_began_after_it(made):
    lines = shown(made())
    assert "10.0 s web process killed process 1 below 0.2 s" in lines
    assert "20.0 s postmaster killed process 2 3.0 s" in lines
    assert "20.4 s crash of the database by its own log" in lines
    assert "postmaster killed 2 1.5 s 3.0 s" in lines
    assert "The longest wait of a client for an answer, repeats included: 3.0 s" in lines
    assert "per second 2" in lines
    assert "lost 0" in lines


def test_a_breach_is_told_with_the_lines_of_its_task(made):
    run = made(breaches=[Breach(LOST, "it is gone", 7, "a recipe"), Breach(COUNTS, "one is missing")])
    lines = shown(run)
    assert not run.is_good
    assert "lost 1" in lines
    told = lines.index("lost (task 7): it is gone")
    assert lines[told + 1].startswith('submit {"recipe": "a recipe", "project": 1')
    assert lines[told + 2] == "counts wrong: one is missing"


@pytest.mark.parametrize("status", ["500", "404", "503 without Retry-After"])
def test_an_answer_that_no_fault_excuses_fails_the_run(made, status):
    run = made(statuses={"200": 20, "503": 2, "answer lost": 3, status: 1})
    assert not run.is_good
    assert f"1 requests were answered {status}, which is an error of the tracker." in shown(run)


def test_answers_under_faults_are_excused(made):
    statuses = ("200", "409", "429", "503", "answer lost", "not connected", "no answer in 15 s")
    assert made(statuses=dict.fromkeys(statuses, 1)).is_good


@pytest.fixture
def main(monkeypatch, made, tmp_path):
    """Runs the program with an outcome in place of the run itself. Returns its exit status."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(chaos.disk, "enter_namespace", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)

    def main(*arguments, **outcome):
        def run(folder, plan, console):
            if "error" in outcome:
                raise outcome["error"]
            return made(folder / "ledger.sqlite", **outcome)

        monkeypatch.setattr(sys, "argv", ["chaos", "--seed", "5", *arguments])
        monkeypatch.setattr(chaos, "run", run)
        return chaos.main()

    return main


def kept(tmp_path):
    return [path for path in tmp_path.iterdir() if path.name.startswith("chaos-")]


def test_a_good_run_leaves_nothing(main, tmp_path, capsys):
    assert main() == 0
    assert kept(tmp_path) == []
    assert "Seed 5: 1,000,000 tasks in 600 seconds by 24 clients." in capsys.readouterr().out


def test_its_folder_is_kept_on_demand(main, tmp_path):
    assert main("--keep") == 0
    assert len(kept(tmp_path)) == 1


def test_a_breach_is_exit_status_1_and_the_folder_is_named(main, tmp_path, capsys):
    assert main(breaches=[Breach(LOST, "it is gone", 7, "a recipe")]) == 1
    (folder,) = kept(tmp_path)
    assert (folder / "ledger.sqlite").exists()
    output = capsys.readouterr().out
    assert f"logs are in {folder}; --seed 5 repeats the faults." in output


def test_a_tracker_that_does_not_come_back_fails_the_run(main, tmp_path, capsys):
    assert main(error=BenchmarkError("The database didn't come back by itself")) == 1
    assert len(kept(tmp_path)) == 1
    assert "Aborted: The database didn't come back by itself" in capsys.readouterr().out


def test_an_interrupted_run_leaves_nothing(main, tmp_path):
    assert main(error=KeyboardInterrupt()) == 130
    assert kept(tmp_path) == []


@pytest.mark.parametrize("arguments", [("--tasks", "0"), ("--seconds", "-1"), ("--faults", "rain")])
def test_wrong_arguments_are_refused(main, arguments):
    with pytest.raises(SystemExit) as end:
        main(*arguments)
    assert end.value.code == 2
