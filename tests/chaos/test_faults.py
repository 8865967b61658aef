"""The schedule of faults, and when the database's log tells of a crash."""

import random
from datetime import UTC, datetime

from chaos.disk import Disk
from chaos.faults import FAULTS, FIRST, QUIET_SECONDS, Stage, schedule
from chaos.plan import Plan
from chaos.postgreslog import crashes

PLAN = Plan(seed=7, seconds=120, tasks=1, clients=1, faults=tuple(kind.name for kind in FAULTS))


def told(plan):
    return [(one.at, one.kind.name, one.lasts, one.seed) for one in schedule(plan)]


def test_the_same_seed_gives_the_same_faults():
    assert told(PLAN) == told(PLAN)
    assert told(PLAN) != told(PLAN._replace(seed=8))


def test_every_kind_comes_before_one_comes_again():
    names = [one.kind.name for one in schedule(PLAN)]
    assert len(names) > len(FAULTS)
    assert set(names[: len(FAULTS)]) == set(PLAN.faults)


def test_all_end_before_the_load_does():
    for one in schedule(PLAN):
        assert FIRST <= one.at <= one.at + one.lasts <= PLAN.seconds - QUIET_SECONDS


def test_only_those_that_are_wanted_come():
    plan = PLAN._replace(faults=("disk full", "reload"))
    assert {one.kind.name for one in schedule(plan)} == set(plan.faults)
    assert told(PLAN._replace(faults=())) == []


def test_crashes_are_read_from_the_log():
    log = (
        "2026-11-26 18:40:27.089 UTC [41] LOG:  starting PostgreSQL 18\n"
        "2026-11-26 18:40:27.102 UTC [42] LOG:  database system was interrupted; last known up at 2026-11-26\n"
        "2026-11-26 18:40:27.103 UTC [42] LOG:  database system was not properly shut down; automatic recovery\n"
        "2026-11-26 18:41:00.000 UTC [50] LOG:  database system was shut down at 2026-11-26 18:40:59 UTC\n"
    )
    assert list(crashes(log)) == [datetime(2026, 11, 26, 18, 40, 27, 102_000, tzinfo=UTC).timestamp()]


def test_a_disk_that_is_not_mounted_is_not_filled(tmp_path):
    disk = Disk(tmp_path / "disk", tasks=1)
    stage = Stage(scene=None, disk=disk, proxy=None, ledger=None)
    (full,) = (kind for kind in FAULTS if kind.name == "disk full")
    assert full.begin(stage, random.Random(1)).detail == "left out: nothing can be mounted here"
    assert not list(tmp_path.iterdir())
