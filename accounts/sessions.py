"""Logging in, for the API and the pages; their attempts count against the same limits."""

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest

from accounts.models import User
from tracker.api import throttle
from tracker.api.errors import Forbidden


class RegistrationClosed(Forbidden):
    """Registration is closed here; ask a tracker admin for an account."""


class WrongCredentials(Forbidden):
    """The username or the password is wrong."""


def identify(request: HttpRequest, *, username: str, password: str) -> User:
    """The manager with this username and password. Raises WrongCredentials and RateLimited.

    Takes as long for an unknown name as for a wrong password: Django's backend hashes in both cases.
    """
    throttle.count_address(request, group="login", rate=settings.LOGIN_RATE)
    count_attempt(request, username)
    user = auth.authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise WrongCredentials
    return user


def count_attempt(request: HttpRequest, username: str) -> None:
    """Count a guess at this manager's password. Raises RateLimited."""
    name = f"the name {username[:40].lower()}"
    throttle.count(request, group="login_name", key=name, rate=settings.LOGIN_RATE)


def begin(request: HttpRequest, user: User) -> None:
    """Log the manager in."""
    # Django keeps the session key when the same user logs in again; an attacker who had it would stay logged in.
    request.session.cycle_key()
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
