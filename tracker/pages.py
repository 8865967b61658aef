"""What all pages share: the policy for what they may load, their frame, and how errors of services reach people."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, UnreadablePostError
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.translation import gettext as _

from tracker.api import patience
from tracker.api.body import PATIENCE_SECONDS, SLOWEST_BYTES_PER_SECOND, BrokenBody, announced_bytes
from tracker.api.errors import ApiError, Forbidden, InvalidField, NotIdentified, TooLarge, tell

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

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Middleware: tell browsers that a page runs the scripts of this address only, and none that stand in it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            is_admin = request.path.startswith("/admin/")
            response["Content-Security-Policy"] = _ADMIN_HEADER if is_admin else _HEADER
            # What a manager has seen is not for whoever presses Back after it has signed out.
            if "Cache-Control" not in response and settings.SESSION_COOKIE_NAME in request.COOKIES:
                response["Cache-Control"] = "no-store"
        return response

    return middleware


class PageLocaleMiddleware(LocaleMiddleware):
    """Pages speak the visitor's language. The API, whose addresses have no slash at their end, speaks one."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path.endswith("/"):
            super().process_request(request)
        else:
            translation.activate(settings.LANGUAGE_CODE)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return super().process_response(request, response) if request.path.endswith("/") else response


def limited_forms(get_response: GetResponse) -> GetResponse:
    """Middleware: read what a page is sent, if it is no larger than the API would take, and not for ever."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST" or not request.path.endswith("/"):
            return get_response(request)
        is_upload = request.path.endswith("/console/")
        most = settings.MAX_BULK_BODY_BYTES + settings.MAX_BODY_BYTES if is_upload else settings.MAX_BODY_BYTES
        announced = announced_bytes(request) or 0
        if announced > most:
            return tell(request, TooLarge())
        # Read now, while somebody watches the clock; whoever comes later finds it there.
        with patience.limit(request, seconds=PATIENCE_SECONDS + announced / SLOWEST_BYTES_PER_SECOND):
            try:
                _ = request.POST
            except UnreadablePostError:
                return tell(request, BrokenBody())
        return get_response(request)

    return middleware


class ErrorPages:
    """Middleware: an error of a service becomes a page. The API's views turn theirs into answers before."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code == 405 and request.path.endswith("/") and request.method != "HEAD":
            page = tell(request, MethodNotAllowed())
            page["Allow"] = response["Allow"]
            return page
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, ApiError):
            return None
        if not request.user.is_authenticated and error.status in (401, 403):
            return to_login(request)
        return tell(request, error)


def to_login(request: HttpRequest) -> HttpResponse:
    """Where somebody signs in and then comes back."""
    target = request.get_full_path()
    if request.method != "GET":
        # The address of a button can't be opened afterwards; the page that it is on can.
        page = urlsplit(request.headers.get("Referer", ""))
        target = page._replace(scheme="", netloc="").geturl() if page.netloc == request.get_host() else "/projects/"
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': target})}")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW. Mostly a form that was opened before somebody signed in in another tab."""
    return tell(request, Forbidden(_("This form is out of date. Go back, load the page again and send it once more.")))


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


class MethodNotAllowed(ApiError):
    """This address is for a button of a page; it can't be opened."""

    status = 405


class Link(NamedTuple):
    """An entry of the navigation. `icon` is a name of Material Symbols."""

    address: str
    icon: str
    label: str
    is_current: bool


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What the frame of every page shows."""
    return {"registration_open": settings.REGISTRATION_OPEN, "navigation": _navigation(request)}


def _navigation(request: HttpRequest) -> list[Link]:
    # No user where Django answers before it knows one, as it does for a wrong Host.
    user = getattr(request, "user", None)
    is_manager = user is not None and user.is_authenticated
    is_staff = user is not None and user.is_authenticated and user.is_staff
    entries = [("/projects/", "folder_open", _("Projects")), ("/workers/", "dns", _("Workers"))]
    if is_manager or settings.LOGS_PUBLIC:
        entries.append(("/logs/", "article", _("Logs")))
    if is_manager:
        entries.append(("/managers/", "group", _("Managers")))
    if is_staff:
        entries.append(("/admin/", "tune", _("Administration")))
    entries.append(("/api/docs", "api", _("API")))
    return [Link(address, icon, label, request.path.startswith(address)) for address, icon, label in entries]
