"""When the database crashed, by its own log."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

# Comes after the last lease of the time before, and before the first one of the time after.
_CRASH = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC .*LOG:  database system was interrupted", re.MULTILINE)


def crashes(log: str) -> Iterator[float]:
    """The Unix times at which the database started again without having been shut down."""
    for time in _CRASH.findall(log):
        yield datetime.strptime(time, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
