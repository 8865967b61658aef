"""POST /log/bulk."""

import time
from pathlib import Path

import orjson
import pytest
from django.db import connections

from logs import services
from logs.models import Level, LogEntry
from logs.services import NewEntry
from tests.conftest import at_once
from tracker.api.errors import RateLimited

pytestmark = pytest.mark.django_db

URL = "/log/bulk"
ENTRY = {"level": "info", "scope": "a category", "message": "something happened", "timestamp": 1559393394}


def entries(count, **fields):
    return [ENTRY | {"message": f"message {n}"} | fields for n in range(count)]


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


@pytest.fixture
def nothing_happened(lines):
    def nothing_happened():
        return not LogEntry.objects.exists() and lines() == []

    return nothing_happened


@pytest.mark.parametrize("wrap", [lambda sent: sent, lambda sent: {"entries": sent}])
def test_it_works(api, worker, lines, wrap):
    sent = [ENTRY, ENTRY | {"level": "error", "message": "it broke", "task_id": 7}]
    assert api.post(URL, wrap(sent), worker=worker).json == {"ok": True}
    first, second = LogEntry.objects.order_by("id")
    assert (first.level, first.worker, first.task_id) == (Level.INFO, worker.worker, None)
    assert (first.scope, first.message, first.timestamp) == ("a category", "something happened", 1559393394)
    assert (second.level, second.message, second.task_id) == (Level.ERROR, "it broke", 7)
    assert [(line["level"], line["message"], line.get("task_id")) for line in lines()] == [
        ("info", "something happened", None),
        ("error", "it broke", 7),
    ]


def test_api_prefix(api, worker):
    assert api.post(f"/api{URL}", [ENTRY], worker=worker).status == 200
    assert LogEntry.objects.count() == 1


def test_one_statement(api, worker, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert api.post(URL, entries(50), worker=worker).status == 200


def test_in_the_order_sent(api, worker, lines):
    assert api.post(URL, entries(1000), worker=worker).status == 200
    expected = [f"message {n}" for n in range(1000)]
    assert list(LogEntry.objects.order_by("id").values_list("message", flat=True)) == expected
    assert [line["message"] for line in lines()] == expected


def test_levels(api, worker, settings, lines):
    settings.LOG_KEEP_LEVELS = ["error", "trace"]
    names = ["trace", "info", "warn", "error"]
    assert api.post(URL, [ENTRY | {"level": name} for name in names], worker=worker).status == 200
    assert list(LogEntry.objects.order_by("id").values_list("level", flat=True)) == [Level.TRACE, Level.ERROR]
    assert [line["level"] for line in lines()] == names


def test_texts_are_kept_as_sent(api, worker):
    texts = ["{}", "NULL", '"', "\\", "a,b", "two\nlines", "100 % %s %(x)s", "Übung \U0001f680 \u2028", "'", " "]
    assert api.post(URL, [ENTRY | {"message": text, "scope": text} for text in texts], worker=worker).status == 200
    stored = LogEntry.objects.order_by("id")
    assert [(one.scope, one.message) for one in stored] == [(text, text) for text in texts]


def test_capital_message(api, worker):
    sent = {key: value for key, value in ENTRY.items() if key != "message"} | {"Message": "from Go"}
    assert api.post(URL, [sent], worker=worker).status == 200
    assert LogEntry.objects.get().message == "from Go"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"level": None}, "level: is missing"),
        ({"level": "fatal"}, 'level: must be one of trace, info, warn, error, not the text "fatal".'),
        ({"level": "INFO"}, "level: must be one of "),
        ({"level": 3}, "level: must be one of trace, info, warn, error, not 3."),
        ({"level": ["info"]}, "level: must be one of "),
        ({"scope": None}, "scope: is missing"),
        ({"scope": ""}, "scope: must not be empty"),
        ({"message": "a\0b"}, "message: must not contain the character U+0000"),
        ({"message": "x" * 65_537}, "message: must be at most 65536 characters"),
        ({"message": None}, "message: is missing"),
        ({"timestamp": 0}, "timestamp: must be a whole number from 1"),
        ({"timestamp": "now"}, "timestamp: must be a whole number from 1"),
        ({"task_id": 0}, "task_id: must be a whole number from 1"),
        ({"task_id": "7"}, "task_id: must be a whole number from 1"),
        (
            {"task": 7},
            '"task" is no key here; there are ',
        ),
        ({"taskId": None}, '"taskId" is no key here'),
        ({"Level": "info"}, '"Level" is no key here'),
        ({"x" * 1000: 1}, f'"{"x" * 40}…" is no key here'),
    ],
)
@pytest.mark.parametrize("index", [0, 2])
def test_names_the_item_and_the_field(api, worker, nothing_happened, index, wrong, problem):
    sent = entries(3)
    sent[index] |= wrong
    answer = api.post(URL, sent, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(f"Item {index}: {problem}")
    assert nothing_happened()


@pytest.mark.parametrize("item", [None, 5, "text", True, [], [ENTRY]])
def test_items_are_objects(api, worker, nothing_happened, item):
    answer = api.post(URL, [ENTRY, item], worker=worker)
    assert answer.status == 400
    assert answer.message.startswith("Item 1: must be a JSON object, not ")
    assert nothing_happened()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", 'The body must be an array of entries or {"entries": […]}, not empty.'),
        (b"null", 'The body must be an array of entries or {"entries": […]}, not null.'),
        ({}, 'The body must be an array of entries or {"entries": […]}, not an object without "entries".'),
        (5, 'The body must be an array of entries or {"entries": […]}, not 5.'),
        ({"entries": None}, 'The body must be an array of entries or {"entries": […]}, not null under "entries".'),
        (
            {"entries": ENTRY},
            'The body must be an array of entries or {"entries": […]}, not an object under "entries".',
        ),
        ({"entrys": [ENTRY]}, '"entrys" is no key of this call; send an array of entries or {"entries": […]}, without'),
        ({"entries": [ENTRY], "level": "info"}, '"level" is no key of this call'),
        (ENTRY, '"level" is no key of this call'),
        ([], "entries: must hold 1 to 1000 items, not 0."),
        (entries(1001), "entries: must hold 1 to 1000 items, not 1001."),
    ],
)
def test_refuses_a_body(api, worker, nothing_happened, body, problem):
    answer = api.post(URL, body, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(problem)
    assert nothing_happened()


def test_needs_a_worker(api, worker, other_worker, nothing_happened):
    assert api.post(URL, [ENTRY]).status == 401
    assert api.post(URL, [ENTRY], worker=worker._replace(secret=other_worker.secret)).status == 401
    # What is wrong with a request is told to nobody but a worker.
    assert api.post(URL, [5], worker=worker._replace(secret=other_worker.secret)).status == 401
    assert nothing_happened()


def test_large_bodies(api, worker):
    """Larger than what other calls may send."""
    assert api.post(URL, entries(40, message="x" * 60_000), worker=worker).status == 200
    assert LogEntry.objects.count() == 40


@pytest.mark.usefixtures("counters")
def test_limit_of_entries(api, worker, other_worker, settings, lines):
    settings.LOG_RATE = "10/d"
    assert api.post(URL, entries(6), worker=worker).status == 200
    answer = api.post(URL, entries(5), worker=worker)
    assert answer.status == 429
    text = "Too many log entries from this worker: only 4 fit now, and nothing was stored; wait 8"
    assert answer.message.startswith(text)
    assert answer.json["rate_limit_delay"] > 80_000
    assert int(answer.headers["Retry-After"]) > 80_000
    assert LogEntry.objects.count() == len(lines()) == 6
    # What was refused counts for nothing.
    assert api.post(URL, entries(4), worker=worker).status == 200
    assert api.post("/log/info", {"scope": "s", "message": "m", "timestamp": 1}, worker=worker).status == 429
    assert api.post(URL, entries(10), worker=other_worker).status == 200


@pytest.mark.usefixtures("counters")
def test_limit_of_bytes(api, worker, settings, nothing_happened):
    settings.LOG_BYTES_RATE = "100/d"
    assert api.post(URL, entries(2, scope="s", message="€" * 16), worker=worker).status == 200
    answer = api.post(URL, entries(2, scope="s", message="m"), worker=worker)
    assert answer.status == 429
    assert answer.message.startswith("Too many bytes of log entries from this worker: only 2 fit now")
    assert api.post(URL, entries(1, scope="s", message="m"), worker=worker).status == 200


@pytest.mark.usefixtures("counters")
def test_levels_that_are_not_kept_count(api, worker, settings):
    settings.LOG_RATE = "5/d"
    assert api.post(URL, entries(5, level="trace"), worker=worker).status == 200
    assert api.post(URL, entries(1), worker=worker).status == 429


@pytest.mark.usefixtures("counters")
@pytest.mark.parametrize(
    ("setting", "rate", "problem"),
    [
        ("LOG_RATE", "2/m", "must hold at most 2 items, as this tracker lets a worker send 2/m; send fewer at a time."),
        (
            "LOG_BYTES_RATE",
            "9/h",
            "must have at most 9 bytes together, as this tracker lets a worker send 9/h, not 12; ",
        ),
    ],
)
def test_what_will_never_fit(api, worker, settings, nothing_happened, setting, rate, problem):
    """Waiting would not help, so it isn't told to wait."""
    setattr(settings, setting, rate)
    answer = api.post(URL, entries(3, scope="sss", message="m"), worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(f"entries: {problem}")
    assert nothing_happened()


@pytest.mark.usefixtures("counters")
def test_after_the_time_of_a_limit(api, worker, settings):
    settings.LOG_RATE = "3/s"
    assert api.post(URL, entries(3), worker=worker).status == 200
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE tracker_counter SET expires = now() WHERE key = %s", [f"log {worker.worker.pk}"])
    assert api.post(URL, entries(3), worker=worker).status == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("counters")
def test_batches_at_the_same_moment(worker, settings):
    """Together, they never store more than the limit."""
    settings.LOG_RATE = "50/d"
    batch = [NewEntry(Level.INFO, "s", "m", int(time.time()))] * 20

    def send():
        services.record_many(worker=worker.worker, entries=batch)

    outcomes = at_once([send] * 6)
    assert {type(one) for one in outcomes} <= {type(None), RateLimited}
    assert LogEntry.objects.count() == 20 * outcomes.count(None) <= 50
