"""Middleware for pages: content security policy, language, limits on request bodies, and error pages."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from tracker import db
from tracker.api.body import BrokenBody, announced_bytes, parsing
from tracker.api.errors import ApiError, Busy, TooLarge, database_away
from webui.errors import BadForm, MethodNotAllowed, error_response, to_login

# Everything is loaded from this origin. Inline styles are allowed, since the colours of charts are computed.
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
# The admin uses Alpine, which compiles the expressions in its templates into functions.
_ADMIN_POLICY = _POLICY | {"script-src": "'self' 'unsafe-eval'"}


def _header(policy: dict[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


_HEADER, _ADMIN_HEADER = _header(_POLICY), _header(_ADMIN_POLICY)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Middleware: allow pages to run only scripts from this origin, no inline scripts; no caching with a session."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            is_admin = request.path.startswith("/admin/")
            response["Content-Security-Policy"] = _ADMIN_HEADER if is_admin else _HEADER
        # After a manager has signed out, the Back button must not show its pages to the next user.
        has_session = (
            settings.SESSION_COOKIE_NAME in request.COOKIES or settings.SESSION_COOKIE_NAME in response.cookies
        )
        if has_session and "Cache-Control" not in response:
            response["Cache-Control"] = "no-store"
        return response

    return middleware


class PageLocaleMiddleware(LocaleMiddleware):
    """Pages use the visitor's language. The API, whose paths have no trailing slash, always uses LANGUAGE_CODE.

    Its description, /api/docs, is in the frame of the pages.
    """

    def process_request(self, request: HttpRequest) -> None:
        if self._is_page(request):
            super().process_request(request)
        else:
            translation.activate(settings.LANGUAGE_CODE)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return super().process_response(request, response) if self._is_page(request) else response

    @staticmethod
    def _is_page(request: HttpRequest) -> bool:
        return request.path.endswith("/") or request.path == "/api/docs"


def limited_forms(get_response: GetResponse) -> GetResponse:
    """Middleware: read the form posted to a page, with the API's limits on its size.

    Only a form with files may be large: they go to temporary files, while a field takes many times its size in memory.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST" or not request.path.endswith("/"):
            return get_response(request)
        is_upload = request.path.endswith("/console/") and request.content_type == "multipart/form-data"
        most = settings.MAX_BULK_BODY_BYTES + settings.MAX_BODY_BYTES if is_upload else settings.MAX_BODY_BYTES
        announced = announced_bytes(request) or 0
        if announced > most:
            return error_response(request, TooLarge())
        try:
            with parsing(announced):
                # Views then find it parsed.
                _ = request.POST
        except UnreadablePostError:
            return error_response(request, BrokenBody())
        except Busy as error:
            return error_response(request, error)
        except (SuspiciousOperation, MultiPartParserError):
            # Too many fields or files, or one that is too long for the memory.
            return error_response(request, BadForm())
        return get_response(request)

    return middleware


class ErrorPages:
    """Middleware: turn a service's ApiError, and a database that is away, into an error page.

    API views have turned theirs into responses before.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code == 405 and request.path.endswith("/") and request.method != "HEAD":
            page = error_response(request, MethodNotAllowed())
            page["Allow"] = response["Allow"]
            return page
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if db.is_away(error):
            return error_response(request, database_away(error))
        if not isinstance(error, ApiError):
            return None
        if not request.user.is_authenticated and error.status in (401, 403):
            return to_login(request)
        return error_response(request, error)
