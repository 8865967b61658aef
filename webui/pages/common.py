"""Helpers for all pages: requiring a login, and showing a service's error on a form."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Q
from django.forms import BaseForm
from django.http import HttpRequest
from django.utils.translation import gettext as _

from tracker.api.errors import ApiError, InvalidField, NotIdentified
from tracker.names import key_of

Meaning = TypeVar("Meaning")


def without_nul(text: str) -> str:
    """The text without NUL characters, which PostgreSQL does not accept."""
    return text.replace("\0", "")


def named_like(text: str, field: str = "name") -> Q:
    """The condition that a name contains the text, as people read names. For managers, `field` is `username`."""
    key = key_of(text)
    return Q(**{f"{field}__icontains": text}) | (Q(**{f"{field}_key__contains": key}) if key else Q())


def choice(request: HttpRequest, name: str, choices: Mapping[str, Meaning]) -> tuple[str, Meaning]:
    """The choice that the query string makes, and what it stands for: the first one if it makes none of them."""
    chosen = request.GET.get(name, "")
    if chosen not in choices:
        chosen = next(iter(choices))
    return chosen, choices[chosen]


def sought_in(request: HttpRequest) -> str:
    """The text that a list is searched for; empty if it isn't."""
    return without_nul(request.GET.get("q", "")).strip()[:200]


def require_login(request: HttpRequest) -> Any:
    """The signed-in manager. Raises NotIdentified, which redirects to the login form."""
    if not request.user.is_authenticated:
        raise NotIdentified(_("Sign in first."))
    return request.user


def blame(form: BaseForm, error: ApiError) -> None:
    """Add a service's error to the form: at the field that it names, or above the form."""
    field, _separator, problem = str(error).partition(": ")
    if isinstance(error, InvalidField):
        field, problem = error.field, error.problem
    if field in form.fields:
        form.add_error(field, _(problem)[:1].upper() + _(problem)[1:])
    else:
        form.add_error(None, _(str(error)))
