"""Which workers are marked for failing or disagreeing much more often than the others."""

import random
from statistics import median

import pytest

from tasks.marks import LEAST, POINTS, TIMES, lowest_share, outliers


def test_it_works():
    assert outliers({1: (90, 100), 2: (1, 100), 3: (0, 400), 4: (2, 90)}) == {1}


@pytest.mark.parametrize(
    ("bad", "cases", "expected"),
    [(0, 0, 0), (0, 100, 0), (5, 20, 0.0875), (500, 2000, 0.226), (20, 20, 0.751), (30, 20, 0.751), (-1, 20, 0)],
)
def test_the_benefit_of_the_doubt(bad, cases, expected):
    """With 30 of 20 and -1, what was put back is not folded alike."""
    assert lowest_share(bad, cases) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("found", [{}, {1: (0, 0)}, {1: (100, 100)}, {1: (100, 100), 2: (0, LEAST - 1)}])
def test_nobody_to_compare_with(found):
    assert outliers(found) == set()


def test_tiny_numbers():
    """One failure of one task is no reason, nor are three of twenty."""
    others = dict.fromkeys(range(10, 20), (0, 1000))
    for bad, cases, is_marked in ((1, 1, False), (19, 19, False), (3, 20, False), (5, 20, True), (20, 20, True)):
        assert outliers({1: (bad, cases)} | others) == ({1} if is_marked else set()), (bad, cases)
    assert outliers({1: (5, 5)} | dict.fromkeys(range(10, 20), (0, 5))) == set()


def test_next_to_nothing_is_not_much_more():
    """Ten times as often as the others, but hardly ever."""
    assert outliers({1: (300, 10_000)} | dict.fromkeys(range(10, 20), (30, 10_000))) == set()


def test_everybody_fails():
    assert outliers({worker: (60 + worker, 100) for worker in range(10)}) == set()
    assert outliers(dict.fromkeys(range(10), (100, 100))) == set()


def test_an_honest_minority():
    """A few workers on a platform of their own fail twice as often: that alone is not much more."""
    others = dict.fromkeys(range(10, 30), (4, 100))
    assert outliers(dict.fromkeys(range(3), (8, 100)) | others) == set()
    # Good ones among bad ones are not marked either.
    assert outliers({1: (0, 1000), 2: (1, 1000)} | dict.fromkeys(range(10, 20), (700, 1000))) == set()


def test_bad_ones_do_not_hide_each_other():
    """Nor does one that does most of the work."""
    bad = {1: (50_000, 100_000), 2: (60, 100), 3: (30, 100)}
    assert outliers(bad | dict.fromkeys(range(10, 14), (1, 100))) == set(bad)


def test_two_workers():
    assert outliers({1: (50, 100), 2: (1, 100)}) == {1}
    assert outliers({1: (50, 100), 2: (30, 100)}) == set()


def test_against_the_definition():
    """Every worker is compared with the median of the others, however many are alike."""
    numbers = random.Random(5)
    for _ in range(200):
        found = {}
        for worker in range(numbers.randint(2, 9)):
            cases = numbers.choice([LEAST - 1, LEAST, 200])
            found[worker] = (numbers.choice([0, 1, cases // 4, cases // 2, cases]), cases)
        expected = set()
        for worker, (bad, cases) in found.items():
            others = [one / all_ for key, (one, all_) in found.items() if key != worker and all_ >= LEAST]
            if cases >= LEAST and others:
                lowest, usual = lowest_share(bad, cases), median(others)
                if lowest > TIMES * usual and lowest >= usual + POINTS:
                    expected.add(worker)
        assert outliers(found) == expected, found
