"""Managers in the admin, only for tracker admins."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import services
from accounts.models import User
from projects.access import roles_by_project
from projects.models import Project
from tracker.text import isolated
from webui.admin.base import TrackerModelAdmin, action
from webui.admin.cells import LISTED, clipped, short_table
from webui.pages.common import named_like
from webui.scope import scope_of
from webui.templatetags.formatting import count, moment, state

# Groups are not offered: managers' permissions are their roles in projects.
if admin.site.is_registered(Group):
    admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(TrackerModelAdmin):
    plural = _("Managers")
    keys = ("username",)
    list_display = ("name", "rank", "active", "registered", "last_here")
    list_display_links = ("name",)
    search_fields = ("username",)
    search_help_text = _("Name")
    actions = page_actions = ("promote", "demote", "deactivate", "activate")
    fieldsets = (
        (None, {"fields": ("name", "rank", "active", "registered", "last_here")}),
        (_("Roles"), {"fields": ("role_table",)}),
    )
    readonly_fields = ("name", "rank", "active", "registered", "last_here", "role_table")

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return scope_of(request).everywhere

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return User.objects.defer("password")

    def search(self, queryset: "QuerySet[User]", text: str) -> "QuerySet[User]":
        return queryset.filter(named_like(text, "username"))

    @admin.display(description=_("name"))
    def name(self, manager: User) -> SafeString:
        return clipped(manager.username)

    @admin.display(description=_("rank"))
    def rank(self, manager: User) -> SafeString:
        return state("tracker admin" if manager.is_superuser else "manager")

    @admin.display(description=_("state"))
    def active(self, manager: User) -> SafeString:
        return state("active" if manager.is_active else "deactivated")

    @admin.display(description=_("registered"))
    def registered(self, manager: User) -> SafeString | str:
        return moment(manager.date_joined)

    @admin.display(description=_("last signed in"))
    def last_here(self, manager: User) -> SafeString | str:
        return moment(manager.last_login)

    @admin.display(description=_("projects"))
    def role_table(self, manager: User) -> SafeString:
        roles = roles_by_project(manager)
        names = Project.objects.filter(pk__in=roles).order_by("name").values_list("pk", "name")[: LISTED + 1]
        return short_table([(isolated(name), ", ".join(str(role.name) for role in roles[pk])) for pk, name in names])

    def is_useful(self, name: str, obj: User) -> bool:
        useful = {"promote": not obj.is_superuser, "demote": obj.is_superuser}
        return (useful | {"deactivate": obj.is_active, "activate": not obj.is_active})[name]

    @action(_("Make tracker admin"), icon="shield_person")
    def promote(self, request: HttpRequest, queryset: "QuerySet[User]") -> HttpResponse | None:
        question = _("A tracker admin has every role in every project and can make others tracker admins.")
        return self._change(request, queryset, "promote", question, services.set_tracker_admin, tracker_admin=True)

    @action(_("Revoke tracker admin"), icon="remove_moderator")
    def demote(self, request: HttpRequest, queryset: "QuerySet[User]") -> HttpResponse | None:
        question = _("These managers keep only the roles that they were given.")
        return self._change(request, queryset, "demote", question, services.set_tracker_admin, tracker_admin=False)

    @action(_("Deactivate"), icon="person_off", danger=True)
    def deactivate(self, request: HttpRequest, queryset: "QuerySet[User]") -> HttpResponse | None:
        question = _("These managers are signed out at once and can't sign in any more. Their roles are kept.")
        return self._change(request, queryset, "deactivate", question, services.set_active, active=False)

    @action(_("Activate"), icon="person_check")
    def activate(self, request: HttpRequest, queryset: "QuerySet[User]") -> HttpResponse | None:
        question = _("These managers can sign in again, with the roles that they had.")
        return self._change(request, queryset, "activate", question, services.set_active, active=True)

    def _change(
        self,
        request: HttpRequest,
        queryset: "QuerySet[User]",
        name: str,
        question: Any,
        change: Callable[..., None],
        **values: bool,
    ) -> HttpResponse | None:
        """Ask for confirmation, or change each manager. Raises Forbidden before anything is changed."""
        scope_of(request).demand_everywhere()
        managers = list(queryset.order_by("username"))
        number = len(managers)
        if not self.is_confirmed(request):
            return self.ask(
                request,
                name=name,
                question=question,
                touches=ngettext("%(number)s manager", "%(number)s managers", number) % {"number": count(number)},
                rows=[(isolated(manager.username), "") for manager in managers],
            )
        if any(manager.pk == request.user.pk for manager in managers):
            raise services.NotOnYourself
        for manager in managers:
            change(by=request.user, manager_id=manager.pk, **values)
        text = ngettext("%(number)s manager was changed.", "%(number)s managers were changed.", number)
        self.message_user(request, text % {"number": count(number)}, messages.SUCCESS)
        return None
