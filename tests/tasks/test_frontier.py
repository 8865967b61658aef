"""The remembered position of the first fresh task."""

import pytest

from tasks.queue.frontier import LONGEST_SECONDS, PAGES, SHARE, Frontier
from tests.clock import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def frontier(clock):
    return Frontier(clock)


def test_fast_scan_sets_no_frontier(frontier):
    frontier.note(1, place=(5, 77), pages=PAGES, seconds=10.0)
    assert frontier.after(1) == (None, None)


def test_slow_scan_sets_the_frontier_of_its_project(frontier):
    frontier.note(1, place=(5, 77), pages=PAGES + 1, seconds=0.01)
    assert frontier.after(1) == (5, 77)
    assert frontier.after(2) == (None, None)


def test_frontier_moves_on(frontier):
    frontier.note(1, place=(5, 77), pages=PAGES + 1, seconds=0.01)
    frontier.note(1, place=(4, 3), pages=2, seconds=0.001)
    assert frontier.after(1) == (4, 3)
    frontier.note(1, place=None, pages=2, seconds=0.001)
    assert frontier.after(1) == (4, 3)


@pytest.mark.parametrize(("seconds", "lasts"), [(0.01, 0.01 / SHARE), (10.0, LONGEST_SECONDS)])
def test_lifetime_is_proportional_to_the_time_saved(frontier, clock, seconds, lasts):
    frontier.note(1, place=(5, 77), pages=PAGES + 1, seconds=seconds)
    clock.now += lasts * 0.99
    # Moving on doesn't make it last longer.
    frontier.note(1, place=(5, 78), pages=PAGES + 1, seconds=seconds)
    assert frontier.after(1) == (5, 78)
    clock.now += lasts * 0.02
    assert frontier.after(1) == (None, None)


def test_slow_scan_without_a_task_sets_the_frontier_to_the_end(frontier):
    frontier.note(1, place=None, pages=PAGES + 1, seconds=0.01)
    rank, task_id = frontier.after(1)
    assert (rank, task_id) == (-(2**63), 2**63 - 1)
