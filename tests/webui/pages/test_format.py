"""Formatting of numbers and times."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.utils import translation

from projects.models import Project
from webui.templatetags.formatting import (
    count,
    duration,
    limit,
    marks,
    moment,
    rate,
    share,
    sparkline,
    state,
    took,
    utc,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (float("inf"), "–"),
        (-5, "0 s"),
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (86_400, "1 day"),
        (90_000, "1 day 1 h"),
        (2 * 86_400 + 59, "2 days"),
        (5000 * 86_400, "5,000 days"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(None, "–"), (0, "0 /h"), (1234.5, "1,234 /s"), (2.34, "2.3 /s"), (0.5, "30.0 /min"), (0.002, "7.2 /h")],
)
def test_rate(per_second, text):
    assert rate(per_second) == text


def test_numbers_follow_the_language():
    assert count(1234567) == "1,234,567"
    assert limit(0) == "unlimited"
    with translation.override("fr"):
        assert count(1234567).split() == ["1", "234", "567"]


def test_sparkline():
    drawn = sparkline([0, 5, 10], 'a "label"')
    assert "0.0,24.0 48.0,13.0 96.0,2.0" in drawn
    assert "a &quot;label&quot;" in drawn
    assert "polyline" in sparkline([], "x")


def test_moment():
    drawn = moment(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert 'datetime="2026-03-04T05:06:07+00:00"' in drawn
    assert ">2026-03-04 05:06:07 UTC<" in drawn
    assert moment(None) == "–"


def test_moment_in_another_zone():
    assert utc(datetime(2026, 3, 4, 1, 6, 7, tzinfo=timezone(timedelta(hours=3)))) == "2026-03-03 22:06:07 UTC"


@pytest.mark.parametrize(
    ("name", "kind", "french"),
    [
        ("failed", " bad", "en échec"),
        ("paused", " warn", "en pause"),
        ("active", " good", "actif"),
        ("ready", "", "prête"),
    ],
)
def test_states(name, kind, french):
    assert state(name) == f'<span class="mark{kind}">{name}</span>'
    with translation.override("fr"):
        assert french in state(name)


def test_marks_of_a_project():
    assert re.findall(">([a-z]+)<", marks(Project(public=True))) == ["public"]
    assert re.findall(">([a-z]+)<", marks(Project(hidden=True, paused=True))) == ["hidden", "paused"]
    assert re.findall(">([a-z]+)<", marks(Project())) == ["private"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, "–"), (float("inf"), "–"), (-1, "0 ms"), (0, "0 ms"), (0.0004, "0 ms"), (0.25, "250 ms")),
        *((0.9994, "999 ms"), (0.9996, "1.0 s"), (1.26, "1.3 s"), (10, "10 s"), (3725, "1 h 2 min")),
    ],
)
def test_took(seconds, text):
    assert took(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [(None, "–"), (0, "0 %"), (0.004, "0.4 %"), (0.01, "1 %"), (0.126, "13 %"), (0.5, "50 %"), (1, "100 %")],
)
def test_share(part, text):
    assert share(part) == text
