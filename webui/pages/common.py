"""What pages have in common: who asks, and how a service's error reaches a form."""

from typing import Any

from django.forms import BaseForm
from django.http import HttpRequest
from django.utils.translation import gettext as _

from tracker.api.errors import ApiError, InvalidField, NotIdentified


def without_nul(text: str) -> str:
    """Text that the database can look for."""
    return text.replace("\0", "")


def require_login(request: HttpRequest) -> Any:
    """The manager who is signed in. Raises NotIdentified, which leads to the form."""
    if not request.user.is_authenticated:
        raise NotIdentified(_("Sign in first."))
    return request.user


def blame(form: BaseForm, error: ApiError) -> None:
    """Show a service's error at the form's field that it names, or above the form."""
    field, _separator, problem = str(error).partition(": ")
    if isinstance(error, InvalidField):
        field, problem = error.field, error.problem
    if field in form.fields:
        form.add_error(field, _(problem)[:1].upper() + _(problem)[1:])
    else:
        form.add_error(None, _(str(error)))
