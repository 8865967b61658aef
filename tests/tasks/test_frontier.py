"""Where fresh tasks begin."""

import pytest

from tasks.queue.frontier import LONGEST_SECONDS, PAGES, SHARE, Frontier


class Clock:
    now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def frontier(clock):
    return Frontier(clock)


def test_a_quick_look_leaves_no_place(frontier):
    frontier.note(1, place=(5, 77), pages=PAGES, seconds=10.0)
    assert frontier.after(1) == (None, None)


def test_a_slow_look_leaves_one(frontier):
    frontier.note(1, place=(5, 77), pages=PAGES + 1, seconds=0.01)
    assert frontier.after(1) == (5, 77)
    assert frontier.after(2) == (None, None)


def test_it_moves_on(frontier):
    frontier.note(1, place=(5, 77), pages=PAGES + 1, seconds=0.01)
    frontier.note(1, place=(4, 3), pages=2, seconds=0.001)
    assert frontier.after(1) == (4, 3)
    frontier.note(1, place=None, pages=2, seconds=0.001)
    assert frontier.after(1) == (4, 3)


@pytest.mark.parametrize(("seconds", "lasts"), [(0.01, 0.01 / SHARE), (10.0, LONGEST_SECONDS)])
def test_lasts_as_long_as_it_saves(frontier, clock, seconds, lasts):
    frontier.note(1, place=(5, 77), pages=PAGES + 1, seconds=seconds)
    clock.now += lasts * 0.99
    # Moving on doesn't make it last longer.
    frontier.note(1, place=(5, 78), pages=PAGES + 1, seconds=seconds)
    assert frontier.after(1) == (5, 78)
    clock.now += lasts * 0.02
    assert frontier.after(1) == (None, None)


def test_after_nothing_was_found_nothing_is_looked_for(frontier):
    frontier.note(1, place=None, pages=PAGES + 1, seconds=0.01)
    priority, task_id = frontier.after(1)
    assert (priority, task_id) == (-(2**15), 2**63 - 1)
