"""Filters of the admin's lists. They only offer choices or a text field; each list applies the values itself."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from projects.models import Project
from projects.roles import Role
from tracker.text import isolated
from webui.pages.forms.projects import MOST_CHOICES
from webui.query import id_in, text_of
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
    """The earliest time; see webui.query.time_of."""

    title, parameter_name = _("from (UTC, 2026-01-31 12:00)"), "since"


class Until(Typed):
    """The latest time; see webui.query.time_of."""

    title, parameter_name = _("until (UTC, 2026-01-31 12:00)"), "until"
