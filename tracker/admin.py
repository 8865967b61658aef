"""The admin's site. What it shows of each app is in the app's admin.py."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.sites import UnfoldAdminSite


class TrackerAdminSite(UnfoldAdminSite):
    """Managers enter it with the same session as the pages."""

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # One door only, which counts the attempts.
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.GET.get('next', '/admin/')})}")
