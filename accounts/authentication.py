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
            f"This request comes from another site's page ({origin_sent(request)}), not from {own_origin(request)}. "
            "Use the tracker's own pages, or list that site in TRUSTED_ORIGINS. If it is the tracker's own page behind "
            "a proxy, the proxy must pass on the Host header with its port; set BEHIND_TLS if it accepts HTTPS."
        )


def refuse_foreign_link(request: HttpRequest) -> None:
    """Raise Forbidden for a GET request that another site's page may have caused.

    A browser sends the session cookie when a visitor follows a link. Over plain HTTP, it sends no Sec-Fetch-Site, and
    perhaps no Referer either. Programs send neither, and don't ask for HTML.
    """
    refuse_cross_site(request)
    if "Sec-Fetch-Site" in request.headers:
        return
    referer = request.headers.get("Referer")
    is_own = "text/html" not in request.headers.get("Accept", "") if referer is None else _is_own_page(request, referer)
    if not is_own:
        raise Forbidden("A link on another site may not do this. Use the button on the tracker's pages, or POST.")


def is_cross_site(request: HttpRequest) -> bool:
    """Whether the browser's headers say that another site's page caused this request.

    Origin decides only where Sec-Fetch-Site doesn't: a proxy may have changed the host with which it is compared.
    """
    origin = request.headers.get("Origin")
    if is_surely_own(request) or (origin is not None and _is_trusted(origin)):
        return False
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return True
    return origin is not None and origin.lower() != own_origin(request)


def is_surely_own(request: HttpRequest) -> bool:
    """Whether the browser itself says that the tracker's own page caused this request."""
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def own_origin(request: HttpRequest) -> str:
    """The origin of the tracker's pages, as far as the tracker knows: by Host and, behind TLS, X-Forwarded-Proto."""
    return f"{request.scheme}://{request.get_host()}".lower()


def origin_sent(request: HttpRequest) -> str:
    """The origin that the browser names; that of the Referer, if it names none."""
    parts = _parts_of(request.headers.get("Referer", ""))
    return request.headers.get("Origin") or ("://".join(parts) if all(parts) else "not named")


def _is_own_page(request: HttpRequest, address: str) -> bool:
    origin = "://".join(_parts_of(address))
    return origin == own_origin(request) or _is_trusted(origin)


def _is_trusted(origin: str) -> bool:
    """Whether the origin matches an entry of CSRF_TRUSTED_ORIGINS, such as https://*.example.org."""
    scheme, host = _parts_of(origin)
    trusted = (entry.partition("://") for entry in settings.CSRF_TRUSTED_ORIGINS)
    return any(scheme == one and is_same_domain(host, name.removeprefix("*")) for one, _, name in trusted)


def _parts_of(address: str) -> tuple[str, str]:
    """The scheme, and the host and port; empty if the address is malformed or, like "null", has none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.netloc.lower()


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
        raise NotIdentified("Log in as a manager first; /login sets the session cookie to send along.")
    return request.user


def viewer_of(request: Request) -> User | AnonymousUser:
    """The manager who is logged in, or AnonymousUser."""
    return request.user if isinstance(request.user, User) else AnonymousUser()
