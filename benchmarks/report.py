"""The output: a table in the terminal, and the same as JSON and Markdown."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import Result
from benchmarks.scale import Scale
from benchmarks.server import ROOT, Tracker

COLUMNS = ("", "unit", "tracker", "pgbench", "ratio", "tracker's rounds")


def environment(tracker: Tracker) -> dict[str, str]:
    """The hardware and the versions, without the name of the machine or a path."""
    ((postgres,),) = tracker.sql("SHOW server_version")
    return {
        "cpu": _first_after("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": _first_after("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "django": version("Django"),
        "gunicorn": version("gunicorn"),
        "postgresql": str(postgres),
        "commit": _commit(),
    }


def extent(scale: Scale) -> dict[str, str]:
    """The number and duration of the rounds."""
    each = f"{scale.rounds} of {scale.seconds:g} s on each side"
    return {"rounds": f"{each}; {scale.flat_seconds:g} s in the rows about flatness"}


def table(results: list[Result]) -> Table:
    """The table for the terminal."""
    made = Table(*COLUMNS)
    for column in made.columns[2:]:
        column.justify = "right"
    for number, result in enumerate(results):
        ends_section = result.section != results[min(number + 1, len(results) - 1)].section
        made.add_row(*cells(result), end_section=ends_section)
    return made


def cells(result: Result) -> tuple[str, ...]:
    """One row of the table."""
    low, high = min(result.ours), max(result.ours)
    limit, ratio = result.pgbench_median, result.ratio
    return (
        result.title,
        result.unit,
        shown(result.median),
        "–" if limit is None else shown(limit),
        "–" if ratio is None else f"{ratio:.2f}",
        f"{shown(low)} – {shown(high)}",
    )


def shown(value: float) -> str:
    """A number with at least three digits."""
    for limit, digits in ((10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def write(folder: Path, name: str, results: list[Result], about: dict[str, str], console: Console) -> None:
    """Write <date>-<name>.json and .md, and print where they are."""
    stem = f"{datetime.now(UTC):%Y-%m-%d}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"about": about, "results": [result.as_json() for result in results]}
    (folder / f"{stem}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    (folder / f"{stem}.md").write_text(markdown(results, about))
    console.print(f"Written to {folder / stem}.json and .md", markup=False, soft_wrap=True)


def markdown(results: list[Result], about: dict[str, Any]) -> str:
    """The environment, then the table with a remark for each row."""
    columns = (*COLUMNS, "remark")
    lines = [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", _markdown_row(columns), _markdown_row(["---", "---", *["---:"] * 4, "---"])]
    lines += [_markdown_row([*cells(result), result.note]) for result in results]
    return "\n".join(lines) + "\n"


def _markdown_row(texts: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _first_after(path: str, key: str) -> str:
    """The value of the first line `key: value` in a file; empty if there is none."""
    if not Path(path).exists():
        return ""
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _commit() -> str:
    """The checked-out commit, and whether there are uncommitted changes; empty without git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return result.stdout.strip()
