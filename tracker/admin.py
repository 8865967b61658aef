"""The admin's site: who enters, what leads where, and its first page. What it shows of each app is in its admin.py."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite


class TrackerAdminSite(UnfoldAdminSite):
    """Managers enter it with the same session as the pages. What each sees there is what its roles name."""

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated and request.user.is_active

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # One door only, which counts the attempts.
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.GET.get('next', '/admin/')})}")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from tracker.dashboard import overview_for

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


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar, as UNFOLD["SIDEBAR"] wants it."""
    from projects.roles import Role
    from projects.scoping import scope_of
    from workers.admin import waiting_requests, waiting_words

    scope = scope_of(request)
    decides = scope.has_anywhere(Role.MANAGE_ACCESS)
    waiting = waiting_words(waiting_requests(scope)) if decides else ""
    inbox = _entry(_("Access requests"), "inbox", "/admin/workers/workeraccess/")
    if waiting:
        inbox["badge"] = waiting
    groups: list[tuple[Any, list[dict[str, Any] | None]]] = [
        ("", [_entry(_("Overview"), "space_dashboard", "/admin/")]),
        (
            _("Queues"),
            [
                _entry(_("Projects"), "folder_open", "/admin/projects/project/"),
                _entry(_("Tasks"), "task_alt", "/admin/tasks/task/"),
                _entry(_("Closed tasks"), "inventory_2", "/admin/tasks/closedtask/"),
                _entry(_("Snapshots"), "monitoring", "/admin/projects/snapshot/"),
            ],
        ),
        (
            _("Who does them"),
            [
                _entry(_("Workers"), "dns", "/admin/workers/worker/"),
                inbox if decides else None,
                _entry(_("Logs"), "article", "/admin/logs/logentry/"),
                _entry(_("Managers"), "group", "/admin/accounts/user/") if scope.everywhere else None,
            ],
        ),
        (
            _("Pages"),
            [
                _entry(_("Projects"), "open_in_new", "/projects/"),
                _entry(_("Workers"), "open_in_new", "/workers/"),
                _entry(_("Logs"), "open_in_new", "/logs/"),
                _entry(_("Managers"), "open_in_new", "/managers/") if scope.everywhere else None,
                _entry(_("API"), "api", "/api/docs"),
            ],
        ),
    ]
    return [
        {"title": title, "separator": bool(title), "items": [entry for entry in entries if entry]}
        for title, entries in groups
    ]


def _entry(title: Any, icon: str, address: str) -> dict[str, Any]:
    entry = {"title": title, "icon": icon, "link": address}
    # A page's address can stand within one of the admin's, which is not why that would be the current one.
    return entry if address.startswith("/admin/") else entry | {"active": False}
