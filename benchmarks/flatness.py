"""Rows about flatness: calls to a tracker with a lot of data, compared with calls to a tracker with little.

The second, small tracker has only one project with a few tasks. One client submits, leases and releases a task, over
and over, alternating between the two trackers.
"""

import contextlib
import statistics
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from benchmarks import data
from benchmarks.load import Count
from benchmarks.results import Result
from benchmarks.scale import Scale
from benchmarks.sides import Bench, Load

_CYCLE = Load("cycle")
_CROWD = Load("lease_release", 8)
_VERBS = ("submit", "lease", "release")
_FILL_STEP = 1_000_000


class State(NamedTuple):
    """A state to measure in, and the project to work on."""

    name: str
    title: str
    project: int


States = Generator[State, None, None]


class Small(NamedTuple):
    """The small tracker and its project."""

    bench: Bench
    project: int


def control(bench: Bench, scale: Scale) -> States:
    """There are no more tasks than in the small tracker, so any difference has other reasons."""
    yield State("control", f"{scale.small:,} tasks, as in the small tracker", _filled(bench, scale.small))


def projects(bench: Bench, scale: Scale) -> States:
    """Many other projects have tasks."""
    for other in data.create_projects(bench.tracker, "other", scale.projects):
        data.fill(bench.tracker, other, scale.tasks_per_project)
    project = _filled(bench, scale.small)
    yield State("projects", f"{scale.projects:,} other projects with tasks", project)


def verified_head(bench: Bench, scale: Scale) -> States:
    """The first tasks can't be given to this worker, since it has verified them."""
    project = _filled(bench, scale.small)
    voter = f"ARRAY[{bench.workers.first}::bigint]"
    columns = {"priority": "1", "verification_count": "2", "voters": voter, "votes": "ARRAY[1::bigint]"}
    data.fill(bench.tracker, project, scale.verified, **columns)
    _settle(bench)
    yield State("verified-head", f"{scale.verified:,} tasks at the head verified by this worker", project)


def million_leases(bench: Bench, scale: Scale) -> States:
    """Many leases have just ended and left as many dead index entries, unless vacuum was in time."""
    project = _filled(bench, scale.small + scale.leases)
    bench.by_pgbench(_CROWD, project, transactions=2 * scale.leases)
    yield State("million-leases", f"after {scale.leases:,} leases without a pause", project)


def old_snapshot(bench: Bench, scale: Scale) -> States:
    """Another session holds a snapshot, so that vacuum can't remove what was deleted since."""
    # More tasks than any tracker closes in this time.
    project = _filled(bench, scale.small + int(5_000 * scale.snapshot_seconds))
    with contextlib.closing(bench.tracker.connect()) as reader, reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM projects_project")
        yield State("old-snapshot-start", "another session's snapshot, just taken", project)
        bench.over_http(_CROWD, project, scale.snapshot_seconds)
        title = f"the same, {scale.snapshot_seconds:.0f} s later, 8 workers leasing"
        yield State("old-snapshot-end", title, project)


def large(bench: Bench, scale: Scale) -> States:
    """The project has many tasks; then another worker holds many more. They stay for the rows that follow."""
    project = _filled(bench, scale.large)
    yield State("large", f"{scale.large:,} tasks in the project", project)
    if scale.leased:
        holder = bench.workers.first + data.WORKERS - 1
        lease = {"lease": "gen_random_uuid()", "assign_time": "now()", "lease_expires": "now() + interval '1 day'"}
        data.fill(bench.tracker, project, scale.leased, assignee_id=str(holder), **lease)
        _settle(bench)
        yield State("leased", f"the same and {scale.leased:,} leased ones", project)


# The order matters, since the tasks of some states stay for the next.
STATES: dict[str, Callable[[Bench, Scale], States]] = {
    "control": control,
    "projects": projects,
    "verified-head": verified_head,
    "million-leases": million_leases,
    "old-snapshot": old_snapshot,
    "large": large,
}


def small_project(bench: Bench, scale: Scale) -> Small:
    """The project that all states are compared with."""
    return Small(bench, _filled(bench, scale.small))


def measure(name: str, bench: Bench, small: Small, scale: Scale) -> Iterator[Result]:
    """Create a state, or several one after the other, and compare each with the small tracker."""
    with contextlib.closing(STATES[name](bench, scale)) as states:
        for state in states:
            yield from _compare(state, bench, small, scale)


def _compare(state: State, bench: Bench, small: Small, scale: Scale) -> list[Result]:
    here: dict[str, list[Count]] = {"over_http": [], "by_pgbench": []}
    there: dict[str, list[Count]] = {"over_http": [], "by_pgbench": []}
    places = [(there, small.bench, small.project), (here, bench, state.project)]
    for number in range(scale.rounds):
        for side in here:
            for counts, where, project in places if number % 2 == 0 else reversed(places):
                counts[side].append(getattr(where, side)(_CYCLE, project, scale.flat_seconds))
    return [
        Result(
            "flatness",
            f"{state.name}-{verb}",
            f"{state.title}: {verb}",
            "× small",
            _ratios(verb, here["over_http"], there["over_http"]),
            _ratios(verb, here["by_pgbench"], there["by_pgbench"]),
            "; ".join(
                f"{whose} {_milliseconds(verb, there[side]):.2f} → {_milliseconds(verb, here[side]):.2f} ms"
                for whose, side in (("tracker", "over_http"), ("pgbench", "by_pgbench"))
            ),
            comparable=False,
        )
        for verb in _VERBS
    ]


def _ratios(verb: str, here: list[Count], there: list[Count]) -> list[float]:
    return [_typical(verb, one) / _typical(verb, other) for one, other in zip(here, there, strict=True)]


def _milliseconds(verb: str, counts: list[Count]) -> float:
    return 1000 * statistics.median(_typical(verb, count) for count in counts)


def _typical(verb: str, count: Count) -> float:
    return statistics.median(count.latencies[verb])


def _filled(bench: Bench, tasks: int) -> int:
    (project,) = data.create_projects(bench.tracker, "flat")
    for start in range(0, tasks, _FILL_STEP):
        data.fill(bench.tracker, project, min(_FILL_STEP, tasks - start))
    _settle(bench)
    return project


def _settle(bench: Bench) -> None:
    data.settle(bench.tracker)
    data.checkpoint(bench.tracker)
