"""Filters of the admin's lists. They only offer choices or a text field; each list applies the values itself."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from projects.models import Project
from projects.roles import Role
from tracker.api.errors import InvalidField
from tracker.text import isolated
from webui.pages.forms.projects import MOST_CHOICES
from webui.scope import ANY, scope_of


class Choice(DropdownFilter):
    """A choice among a few values. Filters nothing by itself."""

    options: ClassVar[tuple[tuple[str, Any], ...]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:
        return self.options

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset


class ProjectFilter(Choice):
    """The projects in which the manager has the role: the first MOST_CHOICES by name, and the chosen one."""

    title: Any = _("project")
    parameter_name = "project"
    role: ClassVar[Role] = ANY

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:
        found = scope_of(request).within(Project.objects.order_by("name"), self.role, project="pk")
        choices = dict(found.values_list("pk", "name")[: MOST_CHOICES + 1])
        if len(choices) > MOST_CHOICES:
            choices.popitem()
            choices |= dict(found.filter(pk=id_in(text_of(request, "project")) or 0).values_list("pk", "name"))
            told = _("project (the first %(most)s; others by their id, as ?project=7 in the address)")
            self.title = told % {"most": MOST_CHOICES}
        return tuple((str(pk), isolated(name)) for pk, name in choices.items())


class Typed(TextFilter):
    """A text field. Filters nothing by itself."""

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset


class Since(Typed):
    """The earliest time; see time_of."""

    title, parameter_name = _("from (2026-01-31 12:00)"), "since"


class Until(Typed):
    """The latest time; see time_of."""

    title, parameter_name = _("until (2026-01-31 12:00)"), "until"


def text_of(request: HttpRequest, name: str) -> str:
    """The value of the filter; empty if it is not set."""
    return request.GET.get(name, "").replace("\0", "").strip()


def id_in(text: str) -> int | None:
    """The text as an id; None if it is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def number_of(request: HttpRequest, name: str, *, low: int, high: int) -> int | None:
    """The value of the filter as a whole number; None if it is not set. Raises InvalidField."""
    text = text_of(request, name)
    if not text:
        return None
    try:
        number = int(text[:40])
    except ValueError:
        number = high + 1
    if not low <= number <= high:
        problem = gettext("must be a whole number from %(low)s to %(high)s, not %(text)s.")
        raise InvalidField(name, problem % {"low": low, "high": high, "text": text[:40]})
    return number


def time_of(request: HttpRequest, name: str) -> datetime | None:
    """The value of the filter as a time in ISO 8601, by default in UTC; None if not set. Raises InvalidField."""
    text = text_of(request, name)
    if not text:
        return None
    try:
        moment = parse_datetime(text if len(text) > len("2026-01-31") else f"{text} 00:00")
    except ValueError:
        moment = None
    if moment is None or not 1970 < moment.year < 9999:
        problem = gettext("must be a time such as 2026-01-31 12:00, not %(text)s.")
        raise InvalidField(name, problem % {"text": text[:40]})
    return moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC)
