"""Log entries as JSON lines."""

import errno
import io
import json
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.processes import PATIENCE_SECONDS
from tracker.serve.jsonlog import JsonFormatter, PlainFormatter, SharedFileHandler


def entry(message="text", *args, level=logging.INFO, **extra):
    exc_info = extra.pop("exc_info", None)
    record = logging.LogRecord("tracker.test", level, __file__, 1, message, args, exc_info)
    record.created = 1.25
    for name, value in extra.items():
        setattr(record, name, value)
    line = JsonFormatter().format(record)
    assert all(character.isprintable() for character in line)
    return json.loads(line)


def test_it_works():
    assert entry("%s of %s", 3, "four", level=logging.WARNING) == {
        "time": "1970-01-01T00:00:01.250+00:00",
        "level": "warning",
        "logger": "tracker.test",
        "message": "3 of four",
    }


def test_time_is_that_of_the_entry():
    assert datetime.fromisoformat(entry()["time"]) == datetime(1970, 1, 1, 0, 0, 1, 250000, tzinfo=UTC)


def test_fields_are_added_to_the_usual_keys():
    assert entry(fields={"worker": 7, "scope": "main"}) == {
        **entry(),
        "worker": 7,
        "scope": "main",
    }


def test_fields_replace_usual_keys():
    assert entry(fields={"level": "fatal"})["level"] == "fatal"


def test_several_entries_in_one_record():
    record = logging.LogRecord("tracker.test", logging.INFO, __file__, 1, "2 entries", (), None)
    record.created = 1.25
    record.entries = [{"message": "two\nlines", "worker": 7}, {"message": "\x1b", "level": "fatal"}]
    first, second = JsonFormatter().format(record).splitlines()
    assert json.loads(first) == entry() | {"message": "two\nlines", "worker": 7}
    assert json.loads(second) == entry() | {"message": "\x1b", "level": "fatal"}


def test_other_extras_are_left_out():
    assert entry(request="secret") == entry()


@pytest.mark.parametrize(
    "text",
    ["a\nb\r\n", '"', "\\", "\0", "\x1b[31m", "Übung \U0001f680", "</script>", "\u2028", "\x9b1m\x7f", "a\u202eb"],
)
def test_any_text_stays_one_line(text):
    assert entry("%s", text)["message"] == text


def test_percent_signs_without_arguments():
    assert entry("100%")["message"] == "100%"


def test_traceback():
    try:
        raise ValueError("broken")
    except ValueError:
        read = entry(exc_info=sys.exc_info())
    assert read["traceback"].startswith("Traceback (most recent call last):\n")
    assert read["traceback"].endswith("ValueError: broken")


def test_values_that_json_does_not_know_become_text():
    assert entry(fields={"path": object, "numbers": {1}})["numbers"] == "{1}"


def test_text_that_is_not_valid_unicode_is_not_lost():
    # What surrogateescape makes of a file name or an environment variable.
    assert entry("before \udcff after")["message"].startswith("before ")


@pytest.fixture
def log(tmp_path):
    """Makes loggers that write to tmp_path / "log", each with its own handler, like those of several processes."""
    handlers = []

    def make():
        logger = logging.Logger("tracker.test")
        handlers.append(SharedFileHandler(tmp_path / "log", delay=True))
        handlers[-1].setFormatter(JsonFormatter())
        logger.addHandler(handlers[-1])
        return logger

    yield make
    for handler in handlers:
        handler.close()


def read(path):
    return [json.loads(line)["message"] for line in path.read_bytes().splitlines()]


def test_writes_one_line_per_entry(log, tmp_path):
    logger = log()
    assert not (tmp_path / "log").exists()
    logger.info("first\nentry")
    logger.error("Übung \u2028")
    assert read(tmp_path / "log") == ["first\nentry", "Übung \u2028"]


def test_appends_to_an_existing_file(log, tmp_path):
    log().info("first")
    log().info("second")
    assert read(tmp_path / "log") == ["first", "second"]


def test_file_that_was_moved_away_is_left_alone(log, tmp_path):
    logger = log()
    logger.info("first")
    (tmp_path / "log").rename(tmp_path / "log.1")
    logger.info("second")
    logger.info("third")
    assert read(tmp_path / "log.1") == ["first"]
    assert read(tmp_path / "log") == ["second", "third"]


def test_long_entries_are_not_interleaved(log, tmp_path):
    loggers = [log() for _ in range(4)]
    start = threading.Barrier(len(loggers))

    def write(number):
        start.wait(PATIENCE_SECONDS)
        for _ in range(50):
            loggers[number].info(str(number) * 100_000)

    with ThreadPoolExecutor(len(loggers)) as pool:
        list(pool.map(write, range(len(loggers))))
    messages = read(tmp_path / "log")
    assert sorted(message[0] for message in messages) == sorted("0123" * 50)
    assert all(message == message[0] * 100_000 for message in messages)


def test_file_that_can_not_be_written_raises_nothing(log, tmp_path, capsys):
    (tmp_path / "log").mkdir()
    log().info("lost")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("can't be written: IsADirectoryError: Is a directory.")


class NearlyFullDisk(io.FileIO):
    """A file on a disk with room for `room` more bytes."""

    room = 30

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(data[: self.room])
        self.room -= written
        return written


def test_an_entry_that_the_disk_has_no_room_for_leaves_no_part_of_it(log, tmp_path, capsys):
    logger = log()
    logger.info("before")
    (handler,) = logger.handlers
    with NearlyFullDisk(os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND), "a") as file:
        handler.stream, ordinary = file, handler.stream
        logger.info("cut off")
        logger.info("lost")
        handler.stream = ordinary
    logger.info("after")
    assert read(tmp_path / "log") == ["before", "after"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.endswith("can't be written: OSError: No space left on device.") for line in lines)


def test_a_part_behind_which_another_process_has_written_stays(log, tmp_path):
    class Overtaken(NearlyFullDisk):
        def write(self, data):
            written = super().write(data)
            with (tmp_path / "log").open("ab") as other:
                other.write(b"\n{}\n")
            return written

    logger = log()
    logger.info("before")
    (handler,) = logger.handlers
    with Overtaken(os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND), "a") as file:
        handler.stream, ordinary = file, handler.stream
        logger.info("cut off")
        handler.stream = ordinary
    assert (tmp_path / "log").read_bytes().endswith(b"\n{}\n")


def test_only_its_owner_may_read_the_file(log, tmp_path):
    log().info("secret")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def plain(message, *args, exc_info=None):
    record = logging.LogRecord("tracker.test", logging.ERROR, __file__, 1, message, args, exc_info)
    formatter = PlainFormatter("{levelname} {name}: {message}", style="{")
    return formatter.format(record)


def test_terminal_is_not_controlled_by_what_strangers_wrote():
    forged = "\x1b[2J\u202e\x07\nERROR tracker: forged"
    assert plain("path %s", forged) == r"ERROR tracker.test: path \x1b[2J\u202e\x07\nERROR tracker: forged"


def test_traceback_on_the_terminal():
    try:
        raise ValueError("bro\x1bken")
    except ValueError:
        first, second, *_, last = plain("failed", exc_info=sys.exc_info()).splitlines()
    assert (first, second) == ("ERROR tracker.test: failed", "Traceback (most recent call last):")
    assert last == r"ValueError: bro\x1bken"


def test_terminal_gets_the_plain_format():
    assert isinstance(
        next(one for one in logging.root.handlers if type(one) is logging.StreamHandler).formatter, PlainFormatter
    )
