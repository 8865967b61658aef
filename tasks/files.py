"""Task files: one recipe per line, or one JSON object per line with the keys of /task/submit."""

import codecs
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

import orjson
from django.conf import settings

from projects.models import Project
from tasks.queue import NewTask
from tasks.serializers import SubmitRequest, hash_of, parse_submit
from tracker.api.errors import BadInput, InvalidField
from tracker.text import visible

# The longest line. One that is longer is no list of tasks, and must not fill the memory.
LONGEST_LINE = settings.MAX_BULK_BODY_BYTES

KEYS = frozenset(SubmitRequest._known)


class TaskFile:
    """The tasks in a seekable file, which may be iterated over more than once. Blank lines are skipped.

    The file is read line by line, so that millions of lines are never in memory. Iterating raises BadInput, which
    names the line. `defaults` apply to keys that a line doesn't have. With `unique`, a task without a hash gets the
    hash of its recipe. A JSON line may name only this `project`.
    """

    def __init__(
        self, source: IO[bytes], *, project: Project, as_json: bool, unique: bool, defaults: Mapping[str, int]
    ) -> None:
        self.source, self.project_id = source, project.pk
        self.as_json, self.unique, self.defaults = as_json, unique, defaults

    def __iter__(self) -> Iterator[NewTask]:
        self.source.seek(0)
        for number, raw in enumerate(iter(lambda: self.source.readline(LONGEST_LINE + 1), b""), start=1):
            try:
                line = _text(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw)
                if line and not line.isspace():
                    yield self._parsed(line)
            except BadInput as error:
                raise BadInput(f"line {number}: {error}") from error

    def _parsed(self, line: str) -> NewTask:
        body = self._body(line) if self.as_json else {"recipe": line}
        _, task = parse_submit({**self.defaults, **body, "project": self.project_id})
        if self.as_json and _may_repeat_a_key(line, body):
            json.loads(line, object_pairs_hook=_without_repetition)
        return task._replace(hash64=hash_of(task.recipe)) if self.unique and task.hash64 is None else task

    def _body(self, line: str) -> dict[str, Any]:
        """The object on a line. Unlike in a call, a misspelt key is an error: the file is all that its author sends."""
        try:
            body = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"is not JSON: {error.msg} (at character {error.colno}).") from error
        if not isinstance(body, dict):
            raise BadInput("is not a JSON object.")
        unknown = body.keys() - KEYS
        if unknown:
            raise BadInput(f'"{visible(min(unknown)[:40])}" is no key of /task/submit; its keys are {_LISTED}.')
        if body.get("project", self.project_id) not in (self.project_id, None):
            raise InvalidField("project", f"differs from the project that the file is submitted to, {self.project_id}.")
        return body

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


_LISTED = ", ".join(sorted(KEYS - {"project"}))


def _text(raw: bytes) -> str:
    if len(raw) > LONGEST_LINE:
        raise BadInput(f"is longer than {LONGEST_LINE} bytes.")
    line = raw.rstrip(b"\r\n")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"is not valid UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}.") from error


def _may_repeat_a_key(line: str, body: dict[str, Any]) -> bool:
    """Whether a key may be there twice. Cheap, unlike finding out by parsing the line again.

    Then there are more colons than keys, and a key is there twice in quotes, or once with an escape.
    """
    return line.count(":") > len(body) and ("\\u" in line or any(line.count(f'"{key}"') > 1 for key in body))


def _without_repetition(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _value in pairs:
        if key in seen:
            raise BadInput(f'"{visible(key[:40])}" is there twice.')
        seen.add(key)
