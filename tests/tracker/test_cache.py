"""DatabaseCounters, the cache that counts requests across all processes."""

import pytest
from django.db import DataError

from tracker import db
from tracker.cache import DatabaseCounters
from tracker.models import Counter

pytestmark = pytest.mark.django_db


@pytest.fixture
def counter():
    counter = DatabaseCounters()
    counter.clear()
    return counter


def let_expire(key="key"):
    assert Counter.objects.filter(key__endswith=f":{key}").update(expires="2020-01-01T00:00:00Z") == 1


def seconds_left(key="key"):
    (seconds,) = db.one(
        "SELECT extract(epoch FROM expires - now())::float FROM tracker_counter WHERE key LIKE %(key)s",
        {"key": f"%:{key}"},
    )
    return seconds


def test_set_and_get(counter):
    counter.set("key", 5)
    assert counter.get("key") == 5
    counter.set("key", -6)
    assert counter.get("key") == -6
    assert Counter.objects.count() == 1


def test_missing_key(counter):
    assert counter.get("key") is None
    assert counter.get("key", 7) == 7
    assert not counter.has_key("key")
    assert counter.touch("key") is False
    assert counter.delete("key") is False
    with pytest.raises(ValueError, match="'key' not found"):
        counter.incr("key")
    assert not Counter.objects.exists()


def test_add_only_if_missing(counter):
    assert counter.add("key", 1) is True
    assert counter.add("key", 2) is False
    assert counter.get("key") == 1


def test_incr(counter):
    counter.set("key", 5, 50)
    assert counter.incr("key") == 6
    assert counter.incr("key", 10) == 16
    assert counter.decr("key", 20) == -4
    assert counter.get("key") == -4
    assert 49 < seconds_left() <= 50


def test_delete(counter):
    counter.set("key", 5)
    counter.set("other", 6)
    assert counter.delete("key") is True
    assert counter.get("key") is None
    assert counter.get("other") == 6


def test_clear(counter):
    counter.set_many({"key": 5, "other": 6}, None)
    counter.clear()
    assert counter.get_many(["key", "other"]) == {}


def test_many(counter):
    counter.set_many({"key": 5, "other": 6})
    assert counter.get_many(["key", "other", "third"]) == {"key": 5, "other": 6}
    counter.delete_many(["key", "third"])
    assert counter.get_many(["key", "other"]) == {"other": 6}


def test_zero_is_a_value(counter):
    counter.set("key", 0)
    assert counter.get("key", 7) == 0
    assert counter.has_key("key")
    assert counter.add("key", 1) is False


def test_versions_and_prefixes_are_separate(counter):
    counter.set("key", 1)
    counter.set("key", 2, version=2)
    DatabaseCounters("", {"KEY_PREFIX": "mine"}).set("key", 3)
    assert (counter.get("key"), counter.get("key", version=2)) == (1, 2)
    assert Counter.objects.count() == 3


def test_difficult_keys(counter):
    for number, key in enumerate(["%s", "%(key)s", "';--", "ü\U0001f680", "x" * 200]):
        counter.set(key, number)
        assert counter.get(key) == number


def test_expired_counts_as_missing(counter):
    counter.set("key", 5)
    let_expire()
    assert counter.get("key") is None
    assert not counter.has_key("key")
    assert counter.touch("key", 50) is False
    with pytest.raises(ValueError, match="not found"):
        counter.incr("key")


def test_expired_can_be_added_again(counter):
    counter.set("key", 5)
    let_expire()
    assert counter.add("key", 1, 50) is True
    assert counter.get("key") == 1
    assert 49 < seconds_left() <= 50


def test_expired_can_be_set_again(counter):
    counter.set("key", 5)
    let_expire()
    counter.set("key", 6, 50)
    assert counter.get("key") == 6


@pytest.mark.parametrize("timeout", [0, -1])
def test_timeout_in_the_past_expires_at_once(counter, timeout):
    counter.set("key", 5, timeout)
    assert counter.get("key") is None


def test_timeouts(counter):
    counter.set("key", 1)
    assert 299 < seconds_left() <= 300
    counter.set("key", 1, 0.5)
    assert 0 < seconds_left() <= 0.5
    counter.add("other", 1, 50)
    assert 49 < seconds_left("other") <= 50
    DatabaseCounters("", {"TIMEOUT": 70}).set("key", 1)
    assert 69 < seconds_left() <= 70


def test_without_a_timeout_it_never_expires(counter):
    counter.set("key", 1, None)
    counter.add("other", 1, None)
    assert (seconds_left(), seconds_left("other")) == (None, None)
    assert counter.get("key") == 1
    assert counter.incr("key") == 2
    assert counter.add("key", 1) is False


def test_touch_changes_only_the_expiry(counter):
    counter.set("key", 5, 50)
    assert counter.touch("key", 70) is True
    assert 69 < seconds_left() <= 70
    assert counter.touch("key", None) is True
    assert seconds_left() is None
    assert counter.touch("key") is True
    assert 299 < seconds_left() <= 300
    assert counter.get("key") == 5


@pytest.mark.parametrize("value", [1.0, "1", None, True, b"1", [1], {}])
def test_only_whole_numbers(counter, value):
    for store in (counter.set, counter.add):
        with pytest.raises(TypeError, match="whole numbers only"):
            store("key", value)
    assert not Counter.objects.exists()


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_numbers_of_64_bits(counter, value):
    counter.set("key", value)
    assert counter.get("key") == value


def test_number_beyond_64_bits(counter):
    with pytest.raises(DataError):
        counter.set("key", 2**63)


@pytest.mark.django_db(transaction=True)
def test_concurrent_increments_all_count(counter, racing):
    counter.add("key", 0)
    outcomes = racing([lambda: counter.incr("key")] * 20)
    assert sorted(outcomes) == list(range(1, 21))
    assert counter.get("key") == 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("expired", [False, True])
def test_racing_adds_have_one_winner(counter, racing, expired):
    if expired:
        counter.set("key", 100, 0)
    outcomes = racing([lambda number=number: counter.add("key", number) for number in range(10)])
    assert sorted(outcomes) == [False] * 9 + [True]
    assert counter.get("key") == outcomes.index(True)


def test_table_is_unlogged():
    assert db.one("SELECT relpersistence FROM pg_class WHERE relname = 'tracker_counter'") == ("u",)
    assert db.rows("SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r'") == [
        ("tracker_counter",)
    ]
