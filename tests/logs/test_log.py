"""POST /log/trace, /log/info, /log/warn and /log/error."""

from pathlib import Path

import orjson
import pytest

from logs.models import Level, LogEntry

pytestmark = pytest.mark.django_db

BODY = {"scope": "a category", "message": "something happened", "timestamp": 1559393394}
LEVELS = [("trace", 7), ("info", 5), ("warn", 4), ("error", 3)]


@pytest.fixture
def lines(settings):
    """Reads the lines that the test has added to the log file."""
    path = Path(settings.LOG_FILE)
    before = path.stat().st_size if path.exists() else 0

    def lines():
        with path.open("rb") as file:
            file.seek(before)
            return [orjson.loads(line) for line in file.read().splitlines()]

    return lines


def test_it_works(api, worker):
    answer = api.post("/log/info", BODY, worker=worker)
    assert answer.status == 200
    assert answer.json == {"ok": True}
    entry = LogEntry.objects.get()
    assert (entry.level, entry.worker) == (Level.INFO, worker.worker)
    assert (entry.scope, entry.message, entry.timestamp) == ("a category", "something happened", 1559393394)


@pytest.mark.parametrize(("name", "number"), LEVELS)
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_levels(api, worker, settings, lines, prefix, name, number):
    settings.LOG_KEEP_LEVELS = list(settings.LEVELS)
    assert api.post(f"{prefix}/log/{name}", BODY, worker=worker).json == {"ok": True}
    assert LogEntry.objects.get().level == number
    (line,) = lines()
    assert line["level"] == name


def test_numbers_of_the_levels():
    assert [(level.name.lower(), level.value) for level in Level] == [
        *[("fatal", 1), ("panic", 2), ("error", 3), ("warn", 4), ("info", 5), ("debug", 6), ("trace", 7)],
    ]


@pytest.mark.parametrize("name", ["fatal", "panic", "debug", "warning", "INFO", ""])
def test_no_other_levels(api, worker, name):
    assert api.post(f"/log/{name}", BODY, worker=worker).status == 404


@pytest.mark.parametrize("kept", [[], ["trace"], ["error", "warn"], ["info", "fatal"]])
def test_only_some_levels_are_kept(api, worker, settings, lines, kept):
    settings.LOG_KEEP_LEVELS = kept
    for name, _ in LEVELS:
        assert api.post(f"/log/{name}", BODY, worker=worker).status == 200
    stored = {Level(level).name.lower() for level in LogEntry.objects.values_list("level", flat=True)}
    assert stored == set(kept) - {"fatal"}
    assert [line["level"] for line in lines()] == [name for name, _ in LEVELS]


def test_traces_are_not_kept_by_default(api, worker):
    for name, _ in LEVELS:
        api.post(f"/log/{name}", BODY, worker=worker)
    assert sorted(LogEntry.objects.values_list("level", flat=True)) == [3, 4, 5]


def test_line_in_the_log_file(api, worker, lines):
    api.post("/log/warn", BODY, worker=worker)
    (line,) = lines()
    assert line.pop("time")
    assert line == {
        "level": "warn",
        "logger": "worker_log",
        "message": "something happened",
        "scope": "a category",
        "worker": worker.worker.pk,
        "worker_alias": "worker",
        "timestamp": 1559393394,
    }


@pytest.mark.parametrize(
    "message",
    [
        "two\nlines\r\n",
        '{"level": "error"}\n{"forged": true}',
        "100 % %s %d %(x)s {} {message}",
        "Übung \U0001f680 \u2028 \x1b[31m \x85",
        " ",
        "x" * 65_536,
    ],
)
def test_message_is_kept_as_sent(api, worker, lines, message):
    assert api.post("/log/error", BODY | {"message": message, "scope": message[:1000]}, worker=worker).status == 200
    entry = LogEntry.objects.get()
    assert (entry.message, entry.scope) == (message, message[:1000])
    (line,) = lines()
    assert (line["message"], line["scope"], line["level"]) == (message, message[:1000], "error")


def test_secret_is_not_logged(api, worker, settings, lines):
    api.post("/log/error", BODY, worker=worker)
    assert lines()
    assert worker.secret not in Path(settings.LOG_FILE).read_text()


def test_capital_message(api, worker, lines):
    body = {"scope": "s", "Message": "from Go", "timestamp": 1}
    assert api.post("/log/info", body, worker=worker).status == 200
    assert LogEntry.objects.get().message == "from Go"
    assert lines()[0]["message"] == "from Go"


@pytest.mark.parametrize(
    "sent",
    [
        {"message": "m", "Message": "m"},
        {"message": "m", "Message": ""},
        {"message": "", "Message": "m"},
        {"message": None, "Message": "m"},
        {"message": "m", "Message": None},
    ],
)
def test_both_spellings(api, worker, sent):
    assert api.post("/log/info", {"scope": "s", "timestamp": 1} | sent, worker=worker).status == 200
    assert LogEntry.objects.get().message == "m"


def test_both_spellings_have_to_agree(api, worker, lines):
    answer = api.post("/log/info", BODY | {"Message": "something else"}, worker=worker)
    assert answer.status == 400
    assert "Message" in answer.message
    assert not LogEntry.objects.exists()
    assert lines() == []


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("scope", None, "is missing"),
        ("scope", "", "must not be empty"),
        ("scope", 5, "must be text"),
        ("scope", "x" * 1001, "at most 1000 characters"),
        ("scope", "a\0b", "U+0000"),
        ("message", None, "is missing"),
        ("message", "", "must not be empty"),
        ("message", ["a"], "not an array"),
        ("message", "a\0b", "U+0000"),
        ("timestamp", None, "is missing"),
        ("timestamp", 0, "whole number from 1"),
        ("timestamp", -1, "whole number from 1"),
        ("timestamp", 1559393394.5, "whole number"),
        ("timestamp", "1559393394", "whole number"),
        ("timestamp", True, "not true"),
        ("timestamp", 2**63, "whole number"),
    ],
)
@pytest.mark.parametrize("level", ["trace", "error"])
def test_refuses_a_field(api, worker, lines, level, field, value, problem):
    answer = api.post(f"/log/{level}", BODY | {field: value}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert problem in answer.message
    assert not LogEntry.objects.exists()
    assert lines() == []


@pytest.mark.parametrize("timestamp", [1, 2**53 + 1, 2**63 - 1])
def test_timestamp_is_kept_as_sent(api, worker, timestamp):
    assert api.post("/log/info", BODY | {"timestamp": timestamp}, worker=worker).status == 200
    assert LogEntry.objects.get().timestamp == timestamp


def test_client_cannot_log_as_another_worker(api, worker, other_worker, lines):
    forged = {"worker": other_worker.worker.pk, "worker_alias": "other", "level": "error", "logger": "x", "time": "x"}
    api.post("/log/info", BODY | forged, worker=worker)
    entry = LogEntry.objects.get()
    assert (entry.worker, entry.level) == (worker.worker, Level.INFO)
    (line,) = lines()
    assert (line["worker"], line["worker_alias"], line["level"]) == (worker.worker.pk, "worker", "info")
    assert line["logger"] == "worker_log"


def test_paused_worker_may_report(api, worker):
    worker.worker.paused = True
    worker.worker.save()
    assert api.post("/log/info", BODY, worker=worker).status == 200


def test_needs_identity(api, manager, lines):
    assert api.post("/log/info", BODY).status == 401
    assert api.login(manager).post("/log/info", BODY).status == 401
    assert not LogEntry.objects.exists()
    assert lines() == []


def test_message_has_a_limit(api, worker, lines):
    answer = api.post("/log/error", BODY | {"message": "x" * 65_537}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith("message: must be at most 65536")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("task_id", [1, 4711, 2**63 - 1])
def test_task(api, worker, lines, task_id):
    """A plain number: whether there is such a task is not asked."""
    assert api.post("/log/info", BODY | {"task_id": task_id}, worker=worker).json == {"ok": True}
    assert LogEntry.objects.get().task_id == task_id
    assert lines()[0]["task_id"] == task_id


@pytest.mark.parametrize("sent", [{}, {"task_id": None}, {"taskid": 5}, {"task": 5}])
def test_no_task(api, worker, lines, sent):
    """Unknown keys are ignored, as ever."""
    assert api.post("/log/info", BODY | sent, worker=worker).status == 200
    assert LogEntry.objects.get().task_id is None
    assert "task_id" not in lines()[0]


@pytest.mark.parametrize("task_id", [0, -1, 2**63, 1.0, "1", True, [1], {}])
def test_refuses_a_task(api, worker, lines, task_id):
    answer = api.post("/log/info", BODY | {"task_id": task_id}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith("task_id: must be a whole number from 1 to 9223372036854775807, not ")
    assert not LogEntry.objects.exists()
    assert lines() == []


@pytest.mark.usefixtures("counters")
def test_limit_per_worker(api, worker, other_worker, settings):
    settings.LOG_RATE = "1/d"
    assert api.post("/log/error", BODY, worker=worker).status == 200
    answer = api.post("/log/error", BODY, worker=worker)
    assert answer.status == 429
    assert answer.json["rate_limit_delay"] > 0
    assert api.post("/log/error", BODY, worker=other_worker).status == 200
    assert LogEntry.objects.count() == 2


@pytest.mark.usefixtures("counters")
def test_bytes_per_worker(both_doors, worker, other_worker, settings, lines):
    settings.LOG_BYTES_RATE = "100/d"
    body = BODY | {"scope": "s", "message": "€" * 30}
    assert both_doors.post("/log/error", body | {"message": "€" * 33}, worker=worker).status == 200
    answer = both_doors.post("/log/error", body, worker=worker)
    assert answer.status == 429
    assert answer.message.startswith("Too many bytes of log entries from this worker; wait 8")
    assert answer.json["rate_limit_delay"] > 80_000
    assert both_doors.post("/log/error", body, worker=other_worker).status == 200
    assert LogEntry.objects.count() == len(lines()) == 2


@pytest.mark.usefixtures("counters")
def test_no_limits(api, worker, settings):
    settings.LOG_BYTES_RATE = settings.LOG_RATE = ""
    assert api.post("/log/error", BODY, worker=worker).status == 200


@pytest.mark.usefixtures("counters")
def test_says_which_limit(api, worker, settings):
    settings.LOG_RATE = "1/m"
    api.post("/log/error", BODY, worker=worker)
    assert api.post("/log/error", BODY, worker=worker).message.startswith("Too many log entries from this worker")
