"""Task files: one recipe per line, or one JSON object per line with the keys of /task/submit."""

import codecs
from collections.abc import Iterator, Mapping
from typing import IO

import orjson

from tasks.queue import NewTask
from tasks.serializers import hash_of, parse_submit
from tracker.api.errors import BadInput


class TaskFile:
    """The tasks in a seekable file, which may be iterated over more than once. Empty lines are skipped.

    The file is read line by line, so that millions of lines are never in memory. Iterating raises BadInput, which
    names the line. `defaults` apply to keys that a line doesn't have. With `unique`, a task without a hash gets the
    hash of its recipe.
    """

    def __init__(self, source: IO[bytes], *, as_json: bool, unique: bool, defaults: Mapping[str, int]) -> None:
        self.source, self.as_json, self.unique, self.defaults = source, as_json, unique, defaults

    def __iter__(self) -> Iterator[NewTask]:
        self.source.seek(0)
        for number, raw in enumerate(self.source, start=1):
            line = raw.rstrip(b"\r\n")
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line:
                try:
                    task = self._parsed(line)
                except (BadInput, ValueError) as error:
                    raise BadInput(f"line {number}: {error}") from error
                yield task

    def _parsed(self, line: bytes) -> NewTask:
        body = orjson.loads(line) if self.as_json else {"recipe": line.decode()}
        if not isinstance(body, dict):
            raise BadInput("is not a JSON object.")
        _, task = parse_submit({**self.defaults, **body, "project": 1})
        return task._replace(hash64=hash_of(task.recipe)) if self.unique and task.hash64 is None else task

    def batches(self, size: int) -> Iterator[list[NewTask]]:
        """The tasks in batches of `size`."""
        batch: list[NewTask] = []
        for task in self:
            batch.append(task)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
