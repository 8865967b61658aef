"""The admin site: access to it, and its start page."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from webui.admin.index import overview_for


class TrackerAdminSite(UnfoldAdminSite):
    """Managers use it with the same session as the pages. Each sees only the projects in which it has a role."""

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated and request.user.is_active

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # There is only one login form, which counts the attempts.
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.GET.get('next', '/admin/')})}")

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Nor is there a second form that checks a password.
        return HttpResponseRedirect("/accounts/")

    def password_change_done(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect("/accounts/")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": _("Overview"), "crumbs": [(_("Overview"), None)]} | overview_for(request)
        response: HttpResponse = super().index(request, context | (extra_context or {}))
        return response

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Not needed: the sidebar lists everything.
        return HttpResponseRedirect(reverse("admin:index"))

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Unfold's search would store its results in the cache, which is for counters only.
        raise Http404

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        # No form uses it, and it would count all rows.
        raise Http404
