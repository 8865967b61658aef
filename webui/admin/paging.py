"""Keyset pagination of the admin's lists.

The query string contains the page's cursor (`after`) and the cursors of the pages before it (`trail`), to go back.
"""

from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from django.db.models import DateTimeField, IntegerField, Model, Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from tracker import keyset
from tracker.keyset import Cursor, decode, encode

Row = TypeVar("Row", bound=Model)

AFTER, TRAIL = "after", "trail"
# Maximum number of pages to go back one by one, and of characters for them: they make the address longer.
LONGEST_TRAIL = 40
LONGEST_TRAIL_TEXT = 3_000
# A cursor with the longest name of a project.
LONGEST_CURSOR = 1_500
_FIRST = "-"


class Page(NamedTuple):
    """Rows of a list, and the cursor of the next page; None at the end of the list.

    If the search stopped at its bound, `looked` is the number of rows that it examined, and `down_to` describes the
    last one; otherwise `looked` is None.
    """

    rows: list[Any]
    following: Cursor | None = None
    looked: int | None = None
    down_to: str = ""


def page_by(rows: "QuerySet[Row]", keys: tuple[str, ...], after: Cursor | None, limit: int) -> Page:
    """A page of rows ordered by `keys`: columns that are never null and together unique; "-" means descending.

    Raises BadCursor.
    """
    found = list(_beyond(rows, keys, after).order_by(*keys)[: limit + 1])
    following = [getattr(found[limit - 1], key.removeprefix("-")) for key in keys] if len(found) > limit else None
    return Page(found[:limit], following)


def _beyond(rows: "QuerySet[Row]", keys: tuple[str, ...], after: Cursor | None) -> "QuerySet[Row]":
    if after is None:
        return rows
    values = keyset.values(after, *(_kind_of(rows, key.removeprefix("-")) for key in keys))
    condition: Q | None = None
    for key, value in zip(reversed(keys), reversed(values), strict=True):
        name = key.removeprefix("-")
        beyond = Q(**{f"{name}__{'lt' if key.startswith('-') else 'gt'}": value})
        condition = beyond if condition is None else beyond | (Q(**{name: value}) & condition)
    # Redundant, but the condition on the first key lets an index scan begin at the cursor.
    first = keys[0].removeprefix("-")
    entered = rows.filter(**{f"{first}__{'lte' if keys[0].startswith('-') else 'gte'}": values[0]})
    return entered.filter(condition)


def _kind_of(rows: "QuerySet[Row]", name: str) -> type:
    """The type of a column's or annotation's values in a cursor."""
    column = rows.query.annotations[name].output_field if name in rows.query.annotations else None
    field: Any = column or (rows.model._meta.pk if name == "pk" else rows.model._meta.get_field(name))
    if isinstance(field, DateTimeField):
        return datetime
    return int if isinstance(field, IntegerField) else str


class KeysetChangeList(ChangeList):
    """A changelist that neither counts its rows nor numbers its pages."""

    def get_results(self, request: HttpRequest) -> None:
        paging: Any = request
        self.after, self.trail = paging.tracker_after, paging.tracker_trail
        place = decode(self.after) if self.after else None
        page = self.model_admin.find_page(request, self.queryset, place, self.list_per_page)
        self.page = page
        self.result_list = page.rows
        # If there are other pages, more than on this one, so that the actions offer to select all matching rows.
        self.result_count = len(page.rows) + (page.following is not None or bool(self.after))
        self.full_result_count = self.result_count
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False

    @property
    def next_query(self) -> str | None:
        """The query string of the next page; None on the last page."""
        if self.page.following is None:
            return None
        trail = [*self.trail, self.after or _FIRST][-LONGEST_TRAIL:]
        while len(trail) > 1 and sum(map(len, trail)) > LONGEST_TRAIL_TEXT:
            del trail[0]
        return self._query(encode(self.page.following), trail)

    @property
    def previous_query(self) -> str | None:
        """The query string of the previous page; None on the first page, or if the cursor is not in `trail`."""
        if not self.trail:
            return None
        *trail, before = self.trail
        return self._query("" if before == _FIRST else before, trail)

    @property
    def first_query(self) -> str | None:
        """The query string of the first page; None on the first page."""
        return self._query("", []) if self.after else None

    def _query(self, after: str, trail: list[str]) -> str:
        fields = ({AFTER: after} if after else {}) | ({TRAIL: "~".join(trail)} if trail else {})
        query: str = self.get_query_string(fields)
        return query


def take_paging(request: HttpRequest) -> None:
    """Move `after` and `trail` out of request.GET, where the admin would take them for filters."""
    paging: Any = request
    query = request.GET.copy()
    paging.tracker_after = (query.pop(AFTER, None) or [""])[-1][:LONGEST_CURSOR]
    trail = (query.pop(TRAIL, None) or [""])[-1]
    paging.tracker_trail = [part for part in trail.split("~") if part][-LONGEST_TRAIL:]
    paging.GET = query
