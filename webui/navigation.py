"""The frame that the pages and the admin share: the sidebar with its nouns, and the tabs of a noun's lists."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from projects.roles import Role
from webui.access_requests import waiting_requests, waiting_words
from webui.scope import Scope, scope_of


class View(NamedTuple):
    """One of the lists of a noun, shown as a tab above them if there are several."""

    address: str
    label: str
    is_current: bool = False


class Noun(NamedTuple):
    """An entry of the sidebar. `icon` is a name of Material Symbols; `g` and then `key` leads there.

    The entry leads to the first of the `views`. It is current on these and on all pages below the `places`.
    """

    key: str
    icon: str
    label: str
    places: tuple[str, ...]
    views: tuple[View, ...]
    badge: str = ""
    is_current: bool = False

    @property
    def address(self) -> str:
        """Where the entry leads."""
        return self.views[0].address


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what the frame of every page shows."""
    holder: Any = request
    # The admin renders parts of a page with contexts of their own.
    if not hasattr(holder, "tracker_nouns"):
        holder.tracker_nouns = [_marked(noun, request.path) for noun in _nouns(request)]
    nouns: list[Noun] = holder.tracker_nouns
    return {"registration_open": settings.REGISTRATION_OPEN, "navigation": nouns, "views": _views(nouns)}


def _marked(noun: Noun, path: str) -> Noun:
    views = tuple(view._replace(is_current=path == view.address) for view in noun.views)
    is_current = path.startswith(noun.places) or any(view.is_current for view in views)
    return noun._replace(views=views, is_current=is_current)


def _views(nouns: list[Noun]) -> tuple[View, ...]:
    """The tabs of this page: none if it isn't one of several lists."""
    for noun in nouns:
        if len(noun.views) > 1 and any(view.is_current for view in noun.views):
            return noun.views
    return ()


def _nouns(request: HttpRequest) -> Iterator[Noun]:
    # A request has no user if Django responds before authentication, for instance to a wrong Host header.
    user = getattr(request, "user", None)
    is_manager = user is not None and user.is_authenticated
    scope = scope_of(request) if is_manager else Scope(False, {})
    yield Noun(
        *("p", "folder_open", _("Projects"), ("/projects/", "/admin/projects/")),
        (
            View("/projects/", _("All projects")),
            *_for(is_manager, View("/admin/projects/project/", _("Change many"))),
            *_for(is_manager, View("/admin/projects/snapshot/", _("Snapshots"))),
            *_for(is_manager, View("/admin/", _("Needs attention"))),
        ),
    )
    if is_manager:
        lists = View("/admin/tasks/task/", _("Open tasks")), View("/admin/tasks/closedtask/", _("Closed tasks"))
        yield Noun("t", "task_alt", _("Tasks"), ("/admin/tasks/task/", "/admin/tasks/closedtask/", "/tasks/"), lists)
        places = ("/failures/", "/admin/tasks/failuregroup/")
        lists = View("/failures/", _("All failures")), View("/admin/tasks/failuregroup/", _("Filter more"))
        yield Noun("f", "error", _("Failures"), places, lists)
    more = _for(is_manager, View("/admin/workers/worker/", _("Change many")))
    places = ("/workers/", "/admin/workers/worker/")
    yield Noun("w", "dns", _("Workers"), places, (View("/workers/", _("All workers")), *more))
    if scope.has_anywhere(Role.MANAGE_ACCESS):
        badge = waiting_words(waiting_requests(scope))
        yield _single("r", "inbox", _("Requests"), "/admin/workers/workeraccess/", badge)
    if is_manager or settings.LOGS_PUBLIC:
        more = _for(is_manager, View("/admin/logs/logentry/", _("Filter more")))
        yield Noun("l", "article", _("Logs"), ("/logs/", "/admin/logs/"), (View("/logs/", _("All entries")), *more))
    if is_manager:
        more = _for(scope.everywhere, View("/admin/accounts/user/", _("Change many")))
        places = ("/managers/", "/admin/accounts/")
        yield Noun("m", "group", _("Managers"), places, (View("/managers/", _("All managers")), *more))
    yield _single("a", "api", _("API"), "/api/docs")


def _single(key: str, icon: str, label: str, address: str, badge: str = "") -> Noun:
    """A noun with one list."""
    return Noun(key, icon, label, (address,), (View(address, label),), badge)


def _for(may: bool, view: View) -> tuple[View, ...]:
    return (view,) if may else ()
