"""What all pages share: the policy for what they may load, and what their frame shows."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

# Everything comes from this address. Styles may stand in the page: colours of charts and bars are computed.
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# The admin's Alpine makes functions of the expressions in its templates.
_ADMIN_POLICY = _POLICY | {"script-src": "'self' 'unsafe-eval'"}


def _header(policy: dict[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


_HEADER, _ADMIN_HEADER = _header(_POLICY), _header(_ADMIN_POLICY)


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """Middleware: tell browsers that a page runs the scripts of this address only, and none that stand in it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            is_admin = request.path.startswith("/admin/")
            response["Content-Security-Policy"] = _ADMIN_HEADER if is_admin else _HEADER
        return response

    return middleware


class PageLocaleMiddleware(LocaleMiddleware):
    """Pages speak the visitor's language. The API, whose addresses have no slash at their end, speaks one."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path.endswith("/"):
            super().process_request(request)
        else:
            translation.activate(settings.LANGUAGE_CODE)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return super().process_response(request, response) if request.path.endswith("/") else response


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What the frame of every page shows."""
    return {"registration_open": settings.REGISTRATION_OPEN, "logs_public": settings.LOGS_PUBLIC}
