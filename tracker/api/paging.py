"""Lists over the API in pages: what there is at ordinary sizes comes in one, as ever."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.fields import Field

from tracker.api.errors import InvalidField
from tracker.api.fields import Id, WholeNumber
from tracker.api.serializers import RequestSerializer

LONGEST_PAGE = 10_000

Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")


class PageQuery(RequestSerializer):
    """Where a page begins and how long it is."""

    after = Id(required=False, help_text="Goes on behind this entry: `after` of the previous page.")
    limit = WholeNumber(low=1, high=LONGEST_PAGE, default=LONGEST_PAGE)


class NotInTheList(InvalidField):
    """after: is not or no longer in the list; begin again without it."""

    def __init__(self) -> None:
        super().__init__(*str(self.__doc__).split(": ", 1))


def next_page() -> dict[str, Field]:
    """What the content of such a list has besides the list."""
    return {"after": Id(required=False, help_text="For the next page, if there is one.")}


def behind(rows: "QuerySet[Row]", *, key: str, after: int | None) -> "QuerySet[Row]":
    """The rows in the order of a unique column, from behind the row with the id `after`. Raises NotInTheList."""
    ordered = rows.order_by(key)
    if after is None:
        return ordered
    last = rows.filter(pk=after).values_list(key, flat=True).first()
    if last is None:
        raise NotInTheList
    return ordered.filter(**{f"{key}__gt": last})


def page_by(rows: "QuerySet[Row]", *, key: str, after: int | None, limit: int) -> tuple[list[Row], dict[str, Any]]:
    """A page of rows in the order of a unique column, and what its content says of the next. Raises NotInTheList."""
    return cut(list(behind(rows, key=key, after=after)[: limit + 1]), limit=limit)


def cut(rows: list[Item], *, limit: int, key: str = "pk") -> tuple[list[Item], dict[str, Any]]:
    """The rows of a page, of which there is one more if others follow, and what its content says of the next one."""
    page = rows[:limit]
    return page, {"after": getattr(page[-1], key)} if len(rows) > limit else {}
