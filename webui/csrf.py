"""CSRF protection of the pages' forms: Django's, except where the browser itself says that a form is the tracker's."""

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

from accounts.authentication import is_surely_own


class CsrfMiddleware(CsrfViewMiddleware):
    """Looks at Origin and Referer only without Sec-Fetch-Site: same-origin. The token is required in any case.

    Origin has to be this host's, as Host names it; a proxy that passes on Host without the port breaks that.
    """

    def _origin_verified(self, request: HttpRequest) -> bool:
        return is_surely_own(request) or bool(super()._origin_verified(request))  # type: ignore[misc]

    def _check_referer(self, request: HttpRequest) -> None:
        if not is_surely_own(request):
            super()._check_referer(request)  # type: ignore[misc]
