"""Error pages."""

from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from tracker.api.errors import ApiError, BadInput, Forbidden, NotFound, unforeseen

_PAGES = ("/admin/", "/accounts/", "/logs/", "/managers/", "/projects/", "/static/", "/workers/")


class MethodNotAllowed(ApiError):
    """This address only accepts the form of a page; it can't be opened."""

    status = 405


def error_response(request: HttpRequest, error: ApiError) -> HttpResponse:
    """The error as a page for browsers, or as an envelope for API clients."""
    if not request.path.startswith(_PAGES) and "text/html" not in request.headers.get("Accept", ""):
        return error.answer()
    titles = {403: _("Not allowed"), 404: _("Not found"), 400: _("That did not work"), 409: _("That did not work")}
    content = {
        "status": error.status,
        "title": titles.get(error.status, _("Something went wrong")),
        "message": _(str(error)),
    }
    # Without the request, the page does not query the user: the database may be the cause of a server error.
    page = render_to_string("error.html", content, request if error.status < 500 else None)
    return HttpResponse(page, status=error.status, headers=error.headers)


def to_login(request: HttpRequest) -> HttpResponse:
    """Redirect to the login form, which leads back to the requested page afterwards."""
    target = request.get_full_path()
    if request.method != "GET":
        # A button's address accepts only POST, so lead back to the page that has the button.
        page = urlsplit(request.headers.get("Referer", ""))
        target = page._replace(scheme="", netloc="").geturl() if page.netloc == request.get_host() else "/projects/"
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': target})}")


# Django's error handlers, for errors that no API view has handled. Pages are HTML; everything else is an envelope.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400. The usual cause is a host name that is not in ALLOWED_HOSTS."""
    return error_response(request, BadInput(str(exception)))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    return error_response(request, Forbidden())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    return error_response(request, NotFound("There is nothing at this address; API paths have no slash at their end."))


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500."""
    return error_response(request, unforeseen())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW. The usual cause is a form that was opened before signing in in another tab."""
    return error_response(
        request, Forbidden(_("This form is out of date. Go back, load the page again and send it once more."))
    )
