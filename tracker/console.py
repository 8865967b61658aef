"""Running the command line: UTF-8 whatever the locale, one line for an error, and quiet when the reader goes away."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable

from tracker.text import visible

# As shells report a program that a signal has ended.
INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + signal.SIGPIPE


class OutputFailed(OSError):
    """The output can't be written: the disk is full, or nobody reads any more."""


class Output(io.TextIOWrapper):
    """Standard output or error. Its failures are told from those of files and sockets."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from error


def run(command: Callable[[], None]) -> int:
    """Run the command line and return its exit code."""
    _speak_utf8()
    try:
        code = _code_of(command)
        # Otherwise the interpreter would do it at its end, and fail with an exit code of its own.
        sys.stdout.flush()
        sys.stderr.flush()
    except OutputFailed as error:
        _discard_output()
        if error.errno == errno.EPIPE:
            return READER_GONE
        complain(f"Can't write the output: {error.strerror}.")
        return 1
    return code


def complain(text: str) -> None:
    """Print an error."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OutputFailed:
        # There is nobody to tell.
        pass


def database_problem(error: Exception) -> str | None:
    """An error of the database in one line, for an operator; None if it is a fault of the program."""
    from django.db import ProgrammingError
    from psycopg2.errors import UndefinedColumn

    from tracker import db

    if isinstance(error, ProgrammingError) and "does not exist" in str(error):
        if isinstance(error.__cause__, UndefinedColumn):
            return "The database is older than this version: run `manage.py migrate` first."
        return "The database has no tables yet: run `manage.py migrate` first."
    if db.is_away(error):
        return f"The database does not answer: {visible(' '.join(str(error).split()))}"
    return None


def _code_of(command: Callable[[], None]) -> int:
    """Run the command; returns its exit code."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import Error
    from psycopg2 import Error as DriverError

    from tracker.postgres.server import EmbeddedServerError

    try:
        command()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        complain(str(end.code))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except EOFError:
        complain("The input has ended.")
        return 1
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # So Python shows bytes of arguments and input that it can't decode.
        complain("An argument or the input is not valid UTF-8.")
        return 1
    except (ImproperlyConfigured, EmbeddedServerError) as error:
        complain(visible(str(error), keep="\n\t"))
        return 1
    except (Error, DriverError) as error:
        problem = database_problem(error)
        if problem is None:
            raise
        complain(problem)
        return 1
    return 0


def _speak_utf8() -> None:
    """Read and write UTF-8, also where PYTHONIOENCODING or the locale says otherwise."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # None: the caller has closed it.
        buffer = open(os.devnull, "wb") if stream is None else stream.buffer  # noqa: SIM115, PTH123
        own = Output(
            buffer,
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=getattr(stream, "line_buffering", False),
            write_through=getattr(stream, "write_through", False),
        )
        setattr(sys, name, own)


def _discard_output() -> None:
    """Let the interpreter flush into nothing, when it ends, what can't be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OutputFailed:
            os.dup2(nowhere, stream.fileno())
