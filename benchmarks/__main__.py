"""Measures the tracker and prints a table; see README.md in this folder."""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from rich.console import Console

from benchmarks import flatness, report, throughput, upkeep
from benchmarks.results import Result
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.server import BenchmarkError
from benchmarks.sides import Bench

RESULTS = Path(__file__).resolve().parent / "results"
# Of the output, if it does not go to a terminal.
WIDTH = 140
NAMES = (*(row.name for row in throughput.ROWS), *flatness.STATES, *upkeep.ROWS)


def arguments(given: list[str]) -> argparse.Namespace:
    """Parse the command line. Exits if a row is unknown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most important rows at a smaller size")
    parser.add_argument("--rows", type=_rows, help=f"measure only these rows, separated by commas: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, help="how often each row is measured; the median is shown")
    parser.add_argument("--seconds", type=float, help="duration of one round of a row")
    parser.add_argument("--name", help="name of the result files: <date>-<name>.json and .md")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the result files")
    return parser.parse_args(given)


def _rows(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"there is no row {name}.")
    return names


def scale(options: argparse.Namespace) -> Scale:
    """The scale that the options ask for."""
    chosen = QUICK if options.quick else FULL
    given = {
        "rows": options.rows,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "flat_seconds": options.seconds,
    }
    return chosen._replace(**{name: value for name, value in given.items() if value is not None})


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Bench]:
    """A tracker in the folder, stopped at the end of the block."""
    bench = Bench(folder)
    try:
        bench.start()
        yield bench
    finally:
        # Another Ctrl-C would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        bench.tracker.stop()


def measured(
    folder: Path, scale: Scale, announce: Callable[[str], None]
) -> Generator[tuple[Bench, Result], None, None]:
    """Measure the rows that the scale names, or all rows, in their order; `announce` gets the name of each."""
    wanted = scale.rows or NAMES
    with contextlib.ExitStack() as trackers:
        bench = trackers.enter_context(running(folder / "a"))
        for row in throughput.ROWS:
            if row.name in wanted:
                announce(row.name)
                yield from ((bench, result) for result in throughput.measure(row, bench, scale))
        states = [name for name in flatness.STATES if name in wanted]
        if states:
            small = flatness.small_project(trackers.enter_context(running(folder / "b")), scale)
            for name in states:
                announce(name)
                yield from ((bench, result) for result in flatness.measure(name, bench, small, scale))
        for name, measure in upkeep.ROWS.items():
            if name in wanted:
                announce(name)
                yield from ((bench, result) for result in measure(bench, scale))


def main() -> int:
    options = arguments(sys.argv[1:])
    # SIGTERM and SIGHUP (a closed terminal) end it like Ctrl-C, with clean-up. SIGINT is set as well, since a shell
    # may start background processes with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    results: list[Result] = []
    about: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(prefix="task-tracker-bench-", ignore_cleanup_errors=True) as folder,
        console.status("starting") as status,
    ):
        try:
            with contextlib.closing(measured(Path(folder), scale(options), status.update)) as rows:
                for bench, result in rows:
                    about = about or report.environment(bench.tracker)
                    results.append(result)
                    console.print("  ".join(report.cells(result)), markup=False, highlight=False)
        except KeyboardInterrupt:
            console.print("Interrupted.")
            return 130
        except BenchmarkError as error:
            console.print(f"Aborted: {error}", markup=False)
            return 1
    console.print(report.table(results))
    name = options.name or ("quick" if options.quick else "full")
    report.write(options.results, name, results, about | report.extent(scale(options)), console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
