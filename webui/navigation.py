"""The navigation of the pages and of the admin."""

from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from projects.roles import Role
from webui.access_requests import waiting_requests, waiting_words
from webui.scope import scope_of


class Link(NamedTuple):
    """An entry of the navigation. `icon` is a name of Material Symbols."""

    address: str
    icon: str
    label: str
    is_current: bool


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what the frame of every page shows."""
    return {"registration_open": settings.REGISTRATION_OPEN, "navigation": _navigation(request)}


def _navigation(request: HttpRequest) -> list[Link]:
    # A request has no user if Django responds before authentication, for instance to a wrong Host header.
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


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The admin's sidebar, in the format of UNFOLD["SIDEBAR"]."""
    scope = scope_of(request)
    decides = scope.has_anywhere(Role.MANAGE_ACCESS)
    waiting = waiting_words(waiting_requests(scope)) if decides else ""
    inbox = _entry(gettext_lazy("Access requests"), "inbox", "/admin/workers/workeraccess/")
    if waiting:
        inbox["badge"] = waiting
    groups: list[tuple[Any, list[dict[str, Any] | None]]] = [
        ("", [_entry(gettext_lazy("Overview"), "space_dashboard", "/admin/")]),
        (
            gettext_lazy("Queues"),
            [
                _entry(gettext_lazy("Projects"), "folder_open", "/admin/projects/project/"),
                _entry(gettext_lazy("Tasks"), "task_alt", "/admin/tasks/task/"),
                _entry(gettext_lazy("Closed tasks"), "inventory_2", "/admin/tasks/closedtask/"),
                _entry(gettext_lazy("Snapshots"), "monitoring", "/admin/projects/snapshot/"),
            ],
        ),
        (
            gettext_lazy("Workers and managers"),
            [
                _entry(gettext_lazy("Workers"), "dns", "/admin/workers/worker/"),
                inbox if decides else None,
                _entry(gettext_lazy("Logs"), "article", "/admin/logs/logentry/"),
                _entry(gettext_lazy("Managers"), "group", "/admin/accounts/user/") if scope.everywhere else None,
            ],
        ),
        (
            gettext_lazy("Pages"),
            [
                _entry(gettext_lazy("Projects"), "open_in_new", "/projects/"),
                _entry(gettext_lazy("Workers"), "open_in_new", "/workers/"),
                _entry(gettext_lazy("Logs"), "open_in_new", "/logs/"),
                _entry(gettext_lazy("Managers"), "open_in_new", "/managers/") if scope.everywhere else None,
                _entry(gettext_lazy("API"), "api", "/api/docs"),
            ],
        ),
    ]
    return [
        {"title": title, "separator": bool(title), "items": [entry for entry in entries if entry]}
        for title, entries in groups
    ]


def _entry(title: Any, icon: str, address: str) -> dict[str, Any]:
    entry = {"title": title, "icon": icon, "link": address}
    # Unfold marks an entry as current if the path contains its link, as /admin/projects/project/ does /projects/.
    return entry if address.startswith("/admin/") else entry | {"active": False}
