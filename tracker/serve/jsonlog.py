"""Log entries: as JSON lines in a file that all processes append to, and as plain lines on the terminal."""

import contextlib
import errno
import json
import logging
import logging.handlers
import os
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

from tracker.text import json_line, visible


class JsonFormatter(logging.Formatter):
    """One line per entry. The caller's `extra={"fields": {...}}` adds to the usual keys.

    With `extra={"entries": [{...}, ...]}`, a record is several entries, each with the usual keys and these: a batch of
    a thousand in one write takes a fifth of the time.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return "\n".join(_line(entry | one) for one in getattr(record, "entries", [{}]))


def _line(entry: dict[str, Any]) -> str:
    try:
        return json_line(entry, default=str)
    except orjson.JSONEncodeError:
        # For example, a file name that is not valid UTF-8: json accepts what orjson refuses.
        return json.dumps(entry, default=str)


class PlainFormatter(logging.Formatter):
    """For a terminal. What strangers wrote can neither control it nor look like an entry of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return visible(super().formatException(ei), keep="\n")

    def formatStack(self, stack_info: str) -> str:
        return visible(super().formatStack(stack_info), keep="\n")


def _take_back(file: Any, written: int) -> None:
    """Remove the part of an entry for which there was room, or the next entry would be on the same line.

    Unless another process has written behind it since, or it is no file of which something can be removed.
    """
    with contextlib.suppress(OSError):
        end = os.lseek(file.fileno(), 0, os.SEEK_CUR)
        if os.fstat(file.fileno()).st_size == end:
            os.ftruncate(file.fileno(), end - written)


class SharedFileHandler(logging.handlers.WatchedFileHandler):
    """Appends each entry with a single write, so that long entries of two processes are not interleaved.

    When logrotate has moved the file, the next entry opens a new one.
    """

    def _open(self) -> Any:
        # Readable only by its owner, since it contains what workers report.
        return os.fdopen(os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.reopenIfNeeded()
            if self.stream is None:
                self.stream = self._open()
                self._statstream()
            file: Any = self.stream
            line = f"{self.format(record)}\n".encode()
            written = file.write(line) or 0
            if written < len(line):
                _take_back(file, written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            # Without the entry, which the terminal might obey.
            problem = f"{type(error).__name__}: {error.strerror}"
            with contextlib.suppress(OSError):
                sys.stderr.write(f"The log file {self.baseFilename} can't be written: {problem}.\n")
        except Exception:
            self.handleError(record)
