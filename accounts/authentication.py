"""Authentication of managers by the session cookie."""

from typing import ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.http import is_same_domain
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.models import User
from tracker.api.errors import Forbidden, NotIdentified

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class SessionAuthentication(BaseAuthentication):
    """Authenticates managers by Django's session, without CSRF tokens: a script only needs a cookie jar.

    Cross-site requests are recognised by headers instead, which browsers always send and pages can't change.
    """

    refuses: ClassVar = {"POST": {403}}

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        # Check this first: another site's page must neither log a visitor in nor act on the visitor's behalf.
        if request.method not in _SAFE_METHODS:
            refuse_cross_site(request._request)
        user = request._request.user
        return (user, None) if isinstance(user, User) and user.is_active else None

    def authenticate_header(self, request: Request) -> str:
        return "Session"


def refuse_cross_site(request: HttpRequest) -> None:
    """Raise Forbidden for a cross-site request."""
    if is_cross_site(request):
        raise Forbidden(
            "This request comes from another site's page. Use the tracker's own pages, "
            "or list that site in TRUSTED_ORIGINS."
        )


def is_cross_site(request: HttpRequest) -> bool:
    """Whether the browser's headers say that another site's page caused this request."""
    origin = request.headers.get("Origin")
    if origin is not None and any(_matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS):
        return False
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return True
    return origin is not None and _host_of(origin) != request.get_host().lower()


def _matches(origin: str, trusted: str) -> bool:
    """Whether the origin matches an entry of CSRF_TRUSTED_ORIGINS, such as https://*.example.org."""
    scheme, _, host = trusted.partition("://")
    return origin.startswith(f"{scheme}://") and is_same_domain(_host_of(origin), host.removeprefix("*"))


def _host_of(origin: str) -> str:
    """The origin's host and port; empty if the origin is malformed or, like "null", has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class IsManager(BasePermission):
    """Allows managers only."""

    refuses: ClassVar = {"GET": {401}, "POST": {401}}

    def has_permission(self, request: Request, view: APIView) -> bool:
        manager_of(request)
        return True


class IsTrackerAdmin(BasePermission):
    """Allows tracker admins only."""

    refuses: ClassVar = {"GET": {401, 403}, "POST": {401, 403}}

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not manager_of(request).is_tracker_admin:
            raise Forbidden("Only a tracker admin may do this.")
        return True


def manager_of(request: Request) -> User:
    """The manager who is logged in. Raises NotIdentified."""
    if not isinstance(request.user, User):
        raise NotIdentified("Log in as a manager first.")
    return request.user


def viewer_of(request: Request) -> User | AnonymousUser:
    """The manager who is logged in, or AnonymousUser."""
    return request.user if isinstance(request.user, User) else AnonymousUser()
