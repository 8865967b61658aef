"""Error pages."""

import sys
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from accounts.authentication import origin_sent, own_origin
from tracker import db
from tracker.api.errors import ApiError, BadInput, DatabaseAway, Forbidden, NotFound, database_away, unforeseen

# How Django's reasons begin where a form comes from another address, as far as the browser tells.
_WRONG_ADDRESS = ("Origin checking failed", "Referer checking failed")

# How soon a page that can't be shown at the moment tries again.
AGAIN_SECONDS = 5

_PAGES = ("/admin/", "/accounts/", "/logs/", "/managers/", "/projects/", "/static/", "/workers/")


class BadForm(BadInput):
    """This form is malformed, or has too many fields or files; load the page again and send less at once."""


class MethodNotAllowed(ApiError):
    """This address only accepts the form of a page; it can't be opened."""

    status = 405


def error_response(request: HttpRequest, error: ApiError) -> HttpResponse:
    """The error as a page for browsers, or as an envelope for API clients."""
    if not is_for_page(request):
        return error.answer()
    titles = {
        400: _("That did not work"),
        403: _("Not allowed"),
        404: _("Not found"),
        409: _("That did not work"),
        503: _("Not available at the moment"),
    }
    was_form = error.status == 503 and is_form(request)
    content = {
        "status": error.status,
        "title": titles.get(error.status, _("Something went wrong")),
        "message": _(str(error)),
        # A form is not sent again by itself, and its address may not be one to open.
        "again_seconds": AGAIN_SECONDS if error.status == 503 and not was_form else None,
        "was_form": was_form,
        # The others are refused before anything is begun. Their page shows nothing of the request: see webui.busy.
        "may_be_stored": isinstance(error, DatabaseAway),
        "form_page": _page_before(request),
    }
    # Without the request, the page does not query the user: the database may be the cause of a server error.
    page = render_to_string("error.html", content, request if error.status < 500 else None)
    response = HttpResponse(page, status=error.status, headers=error.headers)
    if error.status >= 500:
        response["Cache-Control"] = "no-store"
    return response


def is_for_page(request: HttpRequest) -> bool:
    """Whether an error is to be a page, not an envelope."""
    return request.path.startswith(_PAGES) or "text/html" in request.headers.get("Accept", "")


def is_form(request: HttpRequest) -> bool:
    """Whether the request sends a form, and does not open a page."""
    return request.method not in ("GET", "HEAD")


def to_login(request: HttpRequest) -> HttpResponse:
    """Redirect to the login form, which leads back to the requested page afterwards."""
    target = request.get_full_path()
    if request.method != "GET":
        # A button's address accepts only POST, so lead back to the page that has the button.
        target = _page_before(request)
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': target})}")


def _page_before(request: HttpRequest) -> str:
    """The page that has the button or form of this request, if it is one of ours; otherwise the list of projects."""
    try:
        page = urlsplit(request.headers.get("Referer", ""))
        is_ours = bool(page.netloc) and page.netloc == request.get_host()
    except (ValueError, DisallowedHost):
        return "/projects/"
    address = page._replace(scheme="", netloc="", fragment="").geturl()
    # Of http://tracker//evil.example/, the address alone would lead to another site.
    return address if is_ours and url_has_allowed_host_and_scheme(address, None) else "/projects/"


# Django's error handlers, for errors that no API view has handled. Pages are HTML; everything else is an envelope.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400. The usual cause is a host name that is not in ALLOWED_HOSTS."""
    return error_response(request, BadInput(str(exception)))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    return error_response(request, Forbidden())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    if "//" in request.path:
        return error_response(request, NotFound("There is nothing at this address: it has a doubled slash; write one."))
    return error_response(
        request,
        NotFound("There is nothing at this address; API paths have no slash at their end, and /api/docs lists them."),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: also for what middleware raises. Called while the exception is being handled."""
    error = sys.exc_info()[1]
    return error_response(request, database_away(error) if error and db.is_away(error) else unforeseen())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW. Usual causes: a form opened before signing in in another tab, or a proxy that changes Host."""
    if reason.startswith(_WRONG_ADDRESS):
        text = _(
            "Your browser says that %(came)s sent this form, but the tracker only expects its forms from %(expected)s. "
            "Nothing was changed. If these are the same site, a proxy has to pass on the Host header as the browser "
            "sent it, with the port (nginx: proxy_set_header Host $http_host), and the tracker needs BEHIND_TLS=on if "
            "that proxy accepts HTTPS. Another site whose forms are welcome has to be listed in TRUSTED_ORIGINS."
        )
        return error_response(
            request, Forbidden(text % {"came": origin_sent(request), "expected": own_origin(request)})
        )
    return error_response(
        request, Forbidden(_("This form is out of date. Go back, load the page again and send it once more."))
    )
