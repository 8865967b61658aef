"""The totals of the list of projects."""

from collections.abc import Mapping
from typing import NamedTuple

from django.db.models import QuerySet

from projects.models import Project
from projects.queries import newest_totals
from tasks.queries.overview import Overview
from tasks.queries.rates import HOUR


class Total(NamedTuple):
    """The tasks of all listed projects. `approximate` is True if some of the numbers come from the last snapshots."""

    projects: int
    ready: int
    leased: int
    delayed: int
    failed: int
    closed: int
    rate: float | None
    approximate: bool


def total_of(projects: "QuerySet[Project]", shown: Mapping[int, Overview], number: int) -> Total:
    """The totals of these projects, `number` in all; of some, the present numbers are shown.

    Those of the other pages come from their newest snapshots: counting tasks in each would take too long.
    """
    others: list[int] = []
    if number > len(shown):
        others = list(projects.exclude(pk__in=shown).order_by().values_list("pk", flat=True))
    rest, present = newest_totals(others, rate_seconds=HOUR), shown.values()
    rates = [rate for rate in (rest.rate, *(one.rate for one in present)) if rate is not None]
    return Total(
        number,
        rest.ready + sum(one.ready for one in present),
        rest.leased + sum(one.leased for one in present),
        rest.delayed + sum(one.delayed for one in present),
        rest.failed + sum(one.failed for one in present),
        rest.closed + sum(one.closed for one in present),
        sum(rates) if rates else None,
        bool(others) or any(one.approximate for one in present),
    )
