"""POST /logs."""

import time
from datetime import timedelta

import orjson
import pytest
from django.db.models.functions import Now

from logs import queries
from logs.models import Level, LogEntry

pytestmark = pytest.mark.django_db

URL = "/logs"


@pytest.fixture
def reader(api, manager):
    """The API client of a manager without any role."""
    return api.login(manager)


@pytest.fixture
def entry(worker):
    def entry(message="m", *, level=Level.INFO, timestamp=1000, scope="s"):
        return LogEntry.objects.create(
            worker=worker.worker, level=level, scope=scope, message=message, timestamp=timestamp
        )

    return entry


def messages(answer):
    assert answer.status == 200
    return [log["message"] for log in answer.content["logs"]]


def test_it_works(reader, worker, entry):
    entry("something happened", level=Level.WARN, timestamp=1559393394, scope="a category")
    answer = reader.post(URL, {"level": 7, "since": 0})
    assert answer.status == 200
    assert set(answer.content) == {"logs"}
    (log,) = answer.content["logs"]
    assert orjson.loads(log.pop("data")) == {
        "scope": "a category",
        "worker": worker.worker.pk,
        "worker_alias": "worker",
    }
    assert log == {"message": "something happened", "timestamp": 1559393394, "level": 4}


def test_shows_what_was_reported(reader, worker):
    body = {"scope": "s", "message": "Übung \U0001f680 \n", "timestamp": 5}
    reader.post("/log/error", body, worker=worker)
    (log,) = reader.post(URL, {"level": 7, "since": 0}).content["logs"]
    assert (log["message"], log["timestamp"], log["level"]) == ("Übung \U0001f680 \n", 5, 3)


def test_api_prefix(reader, entry):
    entry()
    assert messages(reader.post(f"/api{URL}", {})) == ["m"]


def test_nothing(reader):
    assert reader.post(URL, {"level": 7, "since": 0}).json == {"ok": True, "content": {"logs": []}}


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"level": null, "since": null}'])
def test_defaults_show_everything(reader, entry, body):
    for level in Level:
        entry(str(level.value), level=level)
    assert len(messages(reader.post(URL, body))) == 7


@pytest.mark.parametrize("threshold", range(1, 8))
def test_level_is_a_threshold(reader, entry, threshold):
    for level in Level:
        entry(level.name, level=level)
    answer = reader.post(URL, {"level": threshold, "since": 0})
    assert {log["level"] for log in answer.content["logs"]} == set(range(1, threshold + 1))


@pytest.mark.parametrize(("since", "shown"), [(0, ["3", "1", "2"]), (2, ["3", "2"]), (3, ["3"]), (4, [])])
def test_since(reader, entry, since, shown):
    for timestamp in (2, 1, 3):
        entry(str(timestamp), timestamp=timestamp)
    assert messages(reader.post(URL, {"level": 7, "since": since})) == shown


def test_last_received_first(reader, entry):
    """Whatever the workers' clocks say: a time in the future pins nothing to the top."""
    for message, timestamp in (("b", 20), ("d", 40), ("a", 2**63 - 1), ("c", 30), ("e", 40)):
        entry(message, timestamp=timestamp)
    assert messages(reader.post(URL, {})) == ["e", "c", "a", "d", "b"]
    LogEntry.objects.filter(message="b").update(received=Now() + timedelta(seconds=1))
    assert messages(reader.post(URL, {})) == ["b", "e", "c", "a", "d"]


def test_since_looks_only_at_entries_received_about_then(reader, entry):
    """One whose time is far in the future counts as long as the others that came with it."""
    entry("future", timestamp=2**62)
    assert messages(reader.post(URL, {"since": int(time.time()) + 3600})) == ["future"]
    LogEntry.objects.update(received=Now() - timedelta(days=2))
    assert messages(reader.post(URL, {"since": int(time.time())})) == []
    assert messages(reader.post(URL, {"since": 2**63 - 1})) == []


def test_long_messages_come_a_few_at_a_time(reader, entry, settings):
    settings.MAX_BATCH_BYTES = 1000
    expected = [entry("€" * size).message for size in (100, 200, 100, 1000, 1)][::-1]
    assert walk(reader) == (expected, 4)


def test_a_search_ends_somewhere(reader, worker, entry, monkeypatch):
    """A page looks at so many entries at most; the next one goes on behind them."""
    monkeypatch.setattr(queries.find, "__kwdefaults__", {"bound": 5, "most_bytes": None})
    wanted = entry("wanted", level=Level.ERROR).message
    fill(worker, 12)
    assert walk(reader, level=Level.ERROR.value) == ([wanted], 3)


def test_worker_that_was_deleted(reader, worker, entry):
    entry()
    worker.worker.delete()
    (log,) = reader.post(URL, {}).content["logs"]
    assert orjson.loads(log["data"]) == {"scope": "s", "worker": None, "worker_alias": None}


def test_worker_that_was_renamed(reader, worker, entry):
    entry()
    reader.post("/worker/update", {"alias": "new"}, worker=worker)
    (log,) = reader.post(URL, {}).content["logs"]
    assert orjson.loads(log["data"])["worker_alias"] == "new"


def test_task_of_an_entry(reader, worker):
    body = {"scope": "s", "message": "m", "timestamp": 5, "task_id": 2**63 - 1}
    reader.post("/log/error", body, worker=worker)
    (log,) = reader.post(URL, {}).content["logs"]
    assert orjson.loads(log["data"])["task_id"] == 2**63 - 1


def test_only_of_a_task_and_of_a_worker(reader, worker, other_worker):
    for sender in (worker, other_worker):
        for task in (7, 8):
            body = {"scope": "s", "message": f"{sender.worker.alias} {task}", "timestamp": 5, "task_id": task}
            reader.post("/log/error", body, worker=sender)
    reader.post("/log/error", {"scope": "s", "message": "none", "timestamp": 5}, worker=worker)
    assert messages(reader.post(URL, {"task_id": 7})) == ["other 7", "worker 7"]
    assert messages(reader.post(URL, {"worker": worker.worker.pk})) == ["none", "worker 8", "worker 7"]
    assert messages(reader.post(URL, {"worker": worker.worker.pk, "task_id": 8})) == ["worker 8"]
    assert messages(reader.post(URL, {"task_id": 9})) == messages(reader.post(URL, {"worker": 2**63 - 1})) == []
    assert walk(reader, limit=1, task_id=8) == (["other 8", "worker 8"], 2)


def fill(worker, count):
    """Create entries with few different timestamps; returns their messages, the last received first."""
    rows = [
        LogEntry(worker=worker.worker, level=Level.INFO, scope="s", message=str(n), timestamp=1 + n * 7 % 5)
        for n in range(count)
    ]
    LogEntry.objects.bulk_create(rows)
    return [row.message for row in reversed(rows)]


def test_default_limit(reader, worker):
    expected = fill(worker, 101)
    answer = reader.post(URL, {"level": 7, "since": 0})
    assert messages(answer) == expected[:100]
    assert set(answer.content) == {"logs", "before_timestamp", "before_id"}


def test_largest_limit(reader, worker):
    expected = fill(worker, 1001)
    assert messages(reader.post(URL, {"limit": 1000})) == expected[:1000]
    answer = reader.post(URL, {"limit": 1001})
    assert answer.status == 400
    assert answer.message.startswith("limit: ")


def walk(reader, on_page=lambda: None, **body):
    """The messages of all pages, and how many pages there were."""
    seen, keys = [], {}
    for page in range(1, 1000):
        answer = reader.post(URL, body | keys)
        seen += messages(answer)
        keys = {key: value for key, value in answer.content.items() if key != "logs"}
        if not keys:
            return seen, page
        on_page()
    raise AssertionError("The pages never end.")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 23, 24, 100])
def test_pages(reader, worker, limit):
    expected = fill(worker, 23)
    seen, pages = walk(reader, limit=limit)
    assert seen == expected
    assert pages == -(-23 // limit)


def test_pages_keep_to_level_and_since(reader, worker, entry):
    fill(worker, 23)
    expected = [entry(f"wanted {n}", level=Level.ERROR, timestamp=3).message for n in range(5)][::-1]
    seen, _ = walk(reader, limit=2, level=Level.ERROR.value, since=3)
    assert seen == expected


def test_pages_while_entries_come_in(reader, worker, entry):
    expected = fill(worker, 23)
    seen, _ = walk(reader, lambda: entry("newer", timestamp=10**6), limit=4)
    assert seen == expected


def test_pages_while_entries_go(reader, worker):
    expected = fill(worker, 23)
    seen, _ = walk(reader, lambda: LogEntry.objects.filter(message__in=expected[:4]).delete(), limit=4)
    assert seen == expected


@pytest.mark.parametrize("key", ["before_timestamp", "before_id"])
def test_paging_keys_come_together(reader, worker, key):
    fill(worker, 5)
    content = reader.post(URL, {"limit": 2}).content
    answer = reader.post(URL, {"limit": 2, key: content[key]})
    assert answer.status == 400
    assert "before_" in answer.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("level", 0),
        ("level", 8),
        ("level", -1),
        ("level", "3"),
        ("level", "error"),
        ("level", 3.0),
        ("level", True),
        ("since", -1),
        ("since", 2**63),
        ("since", "0"),
        ("since", 1.5),
        ("limit", 0),
        ("limit", "10"),
        ("before_timestamp", 0),
        ("before_timestamp", "1"),
        ("before_id", 0),
        ("before_id", 2**63),
        ("task_id", 0),
        ("task_id", "7"),
        ("worker", 2**63),
    ],
)
def test_refuses_a_field(reader, field, value):
    answer = reader.post(URL, {"level": 7, "since": 0} | {field: value})
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")


def test_only_for_managers(api, worker, entry):
    entry("not for everybody")
    for caller in (None, worker):
        answer = api.post(URL, {"level": 7, "since": 0}, worker=caller)
        assert answer.status == 401
        assert b"not for everybody" not in answer.response.content


def test_tracker_admin_may(api, tracker_admin, entry):
    entry()
    assert messages(api.login(tracker_admin).post(URL, {})) == ["m"]


def test_for_everybody_if_logs_are_public(api, worker, settings, entry):
    settings.LOGS_PUBLIC = True
    entry()
    for caller in (None, worker):
        assert messages(api.post(URL, {"level": 7, "since": 0}, worker=caller)) == ["m"]


def test_not_public_by_default(settings):
    assert settings.LOGS_PUBLIC is False


def test_number_of_queries_does_not_depend_on_the_entries(reader, worker, entry, django_assert_num_queries):
    entry()
    reader.post(URL, {})
    with django_assert_num_queries(4):
        reader.post(URL, {})
    fill(worker, 20)
    with django_assert_num_queries(4):
        assert len(messages(reader.post(URL, {}))) == 21
