"""The list of managers, and making a manager a tracker admin or revoking it."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import services
from accounts.models import User
from tracker.api.errors import Forbidden
from webui.pages.common import choice, named_like, require_login, sought_in

MANAGERS_PER_PAGE = 200

# What the list can be sorted by, by the words in the query string.
ORDERS = {"rank": ("-is_superuser", "username"), "name": ("username",), "newest": ("-date_joined", "-pk")}


@require_safe
def managers(request: HttpRequest) -> HttpResponse:
    """/managers/: everybody with an active account."""
    require_login(request)
    sought = sought_in(request)
    sort, order = choice(request, "sort", ORDERS)
    found = User.objects.filter(is_active=True).order_by(*order)
    if sought:
        found = found.filter(named_like(sought, "username"))
    page = Paginator(found, MANAGERS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "managers/list.html", {"page": page, "sought": sought, "sort": sort})


@require_POST
def promote(request: HttpRequest, manager_id: int, *, tracker_admin: bool) -> HttpResponse:
    """/managers/7/promote/ and demote/."""
    manager = require_login(request)
    if not manager.is_tracker_admin:
        raise Forbidden(_("Only a tracker admin may do this."))
    services.set_tracker_admin(by=manager, manager_id=manager_id, tracker_admin=tracker_admin)
    name = User.objects.get(pk=manager_id).username
    told = _("%(name)s is now a tracker admin.") if tracker_admin else _("%(name)s is no longer a tracker admin.")
    messages.success(request, told % {"name": name})
    return HttpResponseRedirect("/managers/")
