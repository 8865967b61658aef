"""Logging in, for the API and the pages; their attempts count against the same limits.

Strangers' attempts count by address, whatever the name, and by name. The latter limit is much higher: anybody can use
it up, but needs many addresses. A manager's own session and devices have limits of their own, so that nobody can lock
out a manager who is logged in or uses a known device.
"""

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts import devices
from accounts.models import User
from accounts.passwords import check_length
from tracker.api import throttle
from tracker.api.errors import Forbidden, InvalidField
from tracker.names import key_of


class RegistrationClosed(Forbidden):
    """Registration is closed here; ask a tracker admin for an account."""


class WrongCredentials(Forbidden):
    """The username or the password is wrong."""


def identify(request: HttpRequest, *, username: str, password: str) -> User:
    """The manager with this username and password. Raises WrongCredentials, RateLimited and InvalidField.

    Takes as long for an unknown name as for a wrong password: Django's backend hashes in both cases.
    """
    try:
        check_length(password)
    except ValidationError as error:
        raise InvalidField("password", " ".join(error.messages)) from error
    count_attempt(request, username)
    user = auth.authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise WrongCredentials
    return user


def count_attempt(request: HttpRequest, username: str) -> None:
    """Count a guess at this manager's password. Raises RateLimited."""
    known = devices.known_caller(request, username)
    if known is not None:
        throttle.count(request, group="login_known", key=known, rate=settings.LOGIN_RATE)
        return
    throttle.count_address(request, group="login", rate=settings.LOGIN_RATE)
    # As names are compared: all spellings of a name are guesses at the same manager's password.
    name = f"the name {key_of(username)[:40]}"
    throttle.count(request, group="login_name", key=name, rate=settings.LOGIN_NAME_RATE)


def begin(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Log the manager in, and let the response mark the device as a known one."""
    # Django keeps the session key when the same user logs in again; an attacker who had it would stay logged in.
    request.session.cycle_key()
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    devices.remember(request, response, user)


def go_on(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Continue this session and device after the password was changed, which ends all others."""
    auth.update_session_auth_hash(request, user)
    devices.remember(request, response, user)
