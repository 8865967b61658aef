import pytest

from benchmarks import pgbench
from benchmarks.client import SCRIPTS


def test_it_works() -> None:
    lines = ["0 1 1000 0 1700000000 1", "0 2 250 0 1700000000 2", "1 1 3000 0 1700000000 3", "0 3 2000 0 1700000000 4"]
    assert pgbench.by_phase(lines, ["lease", "release"]) == {"lease": [0.001, 0.003, 0.002], "release": [0.00025]}


def test_a_script_runs_its_statements_in_turns() -> None:
    assert pgbench.script(["SELECT 1;", "SELECT 2;"]).splitlines() == [
        r"\set worker :first_worker + :client_id",
        r"\if :phase = 0",
        "SELECT 1;",
        r"\elif :phase = 1",
        "SELECT 2;",
        r"\endif",
        r"\set phase (:phase + 1) % 2",
    ]


def test_both_sides_have_the_same_scripts() -> None:
    assert set(pgbench.PHASES) == set(SCRIPTS)


@pytest.mark.parametrize("phases", pgbench.PHASES.values(), ids=list(pgbench.PHASES))
def test_no_placeholder_is_left(phases: dict[str, str]) -> None:
    text = pgbench.script(list(phases.values()))
    assert "%(" not in text
    assert "{call}" not in text
