"""When idle workers are told to come back."""

import heapq
import random
from itertools import pairwise

import pytest

from tasks.polling import POLLS_PER_SECOND, IdlePolls
from tests.clock import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def polls(clock):
    return IdlePolls(clock, random.Random(7).random)


def test_it_works(polls):
    assert [polls.seconds(worker) for worker in range(10)] == [2] * 10


def test_the_least(polls, settings):
    settings.EMPTY_RETRY_AFTER = 9
    assert polls.seconds(1) == 9


def test_it_grows_with_the_workers(polls):
    told = [polls.seconds(worker) for worker in range(10_000)]
    assert told[0] == 2
    assert max(told) == pytest.approx(1.25 * 10_000 / POLLS_PER_SECOND, rel=0.02)


def test_an_impatient_worker_takes_no_turn_from_others(polls):
    for worker in range(1_000):
        polls.seconds(worker)
    assert len({polls.seconds(999) for _ in range(5_000)}) == 1
    assert polls.seconds(1_000) <= 1.25 * 1_001 / POLLS_PER_SECOND + 2


def test_it_shrinks_when_they_have_gone(polls, clock):
    for worker in range(10_000):
        polls.seconds(worker)
    clock.now += 500
    assert polls.seconds(1) == 2


def test_turns_that_have_passed_are_forgotten(polls, clock):
    for worker in range(30_000):
        clock.now += 1.0
        polls.seconds(worker)
    assert len(polls._turns) < 5_000


def test_ten_thousand_idle_workers(polls, clock):
    """They come at random moments at first; a quarter of an hour later, they ask POLLS_PER_SECOND times a second."""
    coming = [(clock.now + random.Random(worker).uniform(0, 60), worker) for worker in range(10_000)]
    heapq.heapify(coming)
    end, asked = clock.now + 1_800, []
    while coming[0][0] < end:
        clock.now, worker = heapq.heappop(coming)
        asked.append(clock.now)
        heapq.heappush(coming, (clock.now + polls.seconds(worker), worker))
    late = [moment for moment in asked if moment > end - 900]
    assert len(late) / 900 == pytest.approx(POLLS_PER_SECOND, rel=0.1)
    gaps = [after - before for before, after in pairwise(late)]
    # How long a new task is there before somebody asks for it, at a random moment.
    assert sum(gap * gap for gap in gaps) / 2 / sum(gaps) < 0.1
