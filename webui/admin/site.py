"""The admin's site: who may enter, and its first page."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from webui.admin.index import overview_for


class TrackerAdminSite(UnfoldAdminSite):
    """Managers enter it with the same session as the pages. What each sees there is what its roles name."""

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated and request.user.is_active

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # One door only, which counts the attempts.
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.GET.get('next', '/admin/')})}")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": _("Overview"), "crumbs": [(_("Overview"), None)]} | overview_for(request)
        response: HttpResponse = super().index(request, context | (extra_context or {}))
        return response

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # The sidebar lists everything.
        return HttpResponseRedirect(reverse("admin:index"))

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Unfold's keeps what it finds in the cache, which holds counters only.
        raise Http404
