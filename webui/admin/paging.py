"""Keyset pagination of the admin's lists.

The address holds where the page begins (`after`) and where the pages before it began (`trail`), which is the way back.
"""

from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from tracker.keyset import Cursor, decode, encode

Row = TypeVar("Row", bound=Model)

AFTER, TRAIL = "after", "trail"
# Addresses have an end: so many pages can be gone back one by one.
LONGEST_TRAIL = 40
_FIRST = "-"


class Page(NamedTuple):
    """Rows of a list, and the place after which it goes on; None at its end.

    `looked` is how many rows were looked through where a bound, not the page's length, ended the page; `down_to` says
    in words how far that was.
    """

    rows: list[Any]
    following: Cursor | None = None
    looked: int | None = None
    down_to: str = ""


def page_by(rows: "QuerySet[Row]", keys: tuple[str, ...], after: Cursor | None, limit: int) -> Page:
    """A page of the rows in the order of `keys`, columns without nulls that are unique together; "-" is descending."""
    try:
        found = list(_beyond(rows, keys, after).order_by(*keys)[: limit + 1])
    except (ValidationError, ValueError, TypeError):
        found = list(rows.order_by(*keys)[: limit + 1])
    following = [getattr(found[limit - 1], key.removeprefix("-")) for key in keys] if len(found) > limit else None
    return Page(found[:limit], following)


def _beyond(rows: "QuerySet[Row]", keys: tuple[str, ...], after: Cursor | None) -> "QuerySet[Row]":
    if after is None or len(after) != len(keys):
        return rows
    condition: Q | None = None
    for key, value in zip(reversed(keys), reversed(after), strict=True):
        name = key.removeprefix("-")
        beyond = Q(**{f"{name}__{'lt' if key.startswith('-') else 'gt'}": value})
        condition = beyond if condition is None else beyond | (Q(**{name: value}) & condition)
    # The first key alone, since it lets an index be entered at the right place.
    first = keys[0].removeprefix("-")
    entered = rows.filter(**{f"{first}__{'lte' if keys[0].startswith('-') else 'gte'}": after[0]})
    return entered.filter(condition)


class KeysetChangeList(ChangeList):
    """A list of the admin that neither counts its rows nor numbers its pages."""

    def get_results(self, request: HttpRequest) -> None:
        paging: Any = request
        self.after, self.trail = paging.tracker_after, paging.tracker_trail
        place = decode(self.after) if self.after else None
        page = self.model_admin.find_page(request, self.queryset, place, self.list_per_page)
        self.page = page
        self.result_list = page.rows
        # More than there are on the page, so that the actions offer to select all that match.
        self.result_count = len(page.rows) + (page.following is not None or bool(self.after))
        self.full_result_count = self.result_count
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False

    @property
    def next_query(self) -> str | None:
        """The address of the next page; None on the last one."""
        if self.page.following is None:
            return None
        trail = [*self.trail, self.after or _FIRST][-LONGEST_TRAIL:]
        return self._query(encode(self.page.following), trail)

    @property
    def previous_query(self) -> str | None:
        """The address of the page before; None on the first one, and where the way back isn't known."""
        if not self.trail:
            return None
        *trail, before = self.trail
        return self._query("" if before == _FIRST else before, trail)

    @property
    def first_query(self) -> str | None:
        """The address of the first page; None on itself."""
        return self._query("", []) if self.after else None

    def _query(self, after: str, trail: list[str]) -> str:
        fields = ({AFTER: after} if after else {}) | ({TRAIL: "~".join(trail)} if trail else {})
        query: str = self.get_query_string(fields)
        return query


def take_paging(request: HttpRequest) -> None:
    """Move `after` and `trail` from the request's query, where the admin would take them for filters."""
    paging: Any = request
    query = request.GET.copy()
    paging.tracker_after = (query.pop(AFTER, None) or [""])[-1][:500]
    trail = (query.pop(TRAIL, None) or [""])[-1]
    paging.tracker_trail = [part for part in trail.split("~") if part][-LONGEST_TRAIL:]
    paging.GET = query
