"""The base class of the admin's lists and pages.

They are read-only by default. Changes are made by actions, which ask for confirmation, say how much they will change,
and call the same services as the API. A row that the manager may not see is not found, and each action checks the role
itself, since a request may be forged.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, ClassVar, TypeVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from projects.roles import Role
from tracker.api.errors import ApiError, BadInput
from tracker.keyset import Cursor
from tracker.text import isolated
from webui.admin.cells import LISTED, cut_note
from webui.admin.paging import KeysetChangeList, Page, page_by, take_paging
from webui.query import id_in
from webui.scope import scope_of

Method = TypeVar("Method", bound=Callable[..., Any])
CONFIRMED = "confirmed"


def action(
    description: Any, *, icon: str, role: Role | None = None, danger: bool = False, in_list: bool = True
) -> Callable[[Method], Method]:
    """Mark a method as an action on rows, offered in the list and on a row's page.

    `role` is the role that it requires in the row's project; None requires a tracker admin.
    """

    def mark(method: Method) -> Method:
        marked: Any = method
        marked.short_description, marked.icon, marked.role = description, icon, role
        marked.danger, marked.in_list = danger, in_list
        return method

    return mark


class BadSelection(BadInput):
    """A selected row has no valid id; open the list again."""


class TrackerModelAdmin(ModelAdmin):
    """A read-only list with keyset pagination by `keys`; `get_queryset` limits the rows to the manager's scope."""

    keys: ClassVar[tuple[str, ...]] = ("-pk",)
    plural: ClassVar[Any] = ""
    new: ClassVar[Any] = ""
    # Actions on one row, shown as buttons on its page.
    page_actions: ClassVar[tuple[str, ...]] = ()
    # Text above the list.
    note: ClassVar[Any] = ""

    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    # Facets would have to count rows.
    show_facets = ShowFacets.NEVER
    list_filter_submit = True
    list_fullwidth = True
    change_form_show_cancel_button = True
    actions_on_bottom = False
    list_before_template = "admin/list_note.html"

    # --- Permissions ---

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may_act(self, request: HttpRequest, method: Any, obj: Any = None) -> bool:
        """Whether to offer an action on this row or, without a row, on any."""
        scope = scope_of(request)
        if method.role is None:
            return scope.everywhere
        return scope.has_anywhere(method.role) if obj is None else scope.allows(self.project_of(obj), method.role)

    def project_of(self, obj: Any) -> int:
        """The id of the project that a row belongs to."""
        project_id: int = obj.project_id
        return project_id

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        offered = {}
        for name, entry in found.items():
            method = getattr(type(self), name, None)
            if method is not None and method.in_list and self.may_act(request, method):
                offered[name] = entry
        return offered

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        # Only the filters' parameters: a list with its own search would silently ignore any other condition.
        return lookup in {one.parameter_name for one in self.list_filter}

    # --- Search ---

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        return self.search(queryset, search_term.replace("\0", "").strip()) if search_term.strip() else queryset, False

    def search(self, queryset: "QuerySet[Any]", text: str) -> "QuerySet[Any]":
        """The rows that match the text in the search field."""
        return queryset

    def find_page(self, request: HttpRequest, queryset: "QuerySet[Any]", after: Cursor | None, limit: int) -> Page:
        """The page of rows after this cursor; None is the beginning."""
        return page_by(queryset, self.keys, after, limit)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404
        return found

    # --- Pages ---

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        act = path("<path:object_id>/act/<str:name>/", self.admin_site.admin_view(self.act_on_one), name=name)
        return [act, *super().get_urls()]

    def address(self, name: str, *arguments: Any) -> str:
        """The address of one of this model's pages: changelist, change, act, …"""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=arguments)

    def name_of(self, obj: Any) -> str:
        """The title of a row's page."""
        return str(obj)

    def crumbs(self, *last: str) -> list[tuple[Any, str | None]]:
        """The breadcrumbs in the header of a page."""
        return [(self.plural, self.address("changelist") if last else None), *((one, None) for one in last)]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        take_paging(request)
        context = {"title": self.plural, "crumbs": self.crumbs(), "note": self.note} | (extra_context or {})
        response: HttpResponse = super().changelist_view(request, context)
        return response

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **options: Any
    ) -> HttpResponse:
        name = isolated(self.name_of(obj)) if obj else str(self.new)
        context |= {"title": self.plural, "subtitle": name, "crumbs": self.crumbs(name), "show_history": False}
        if obj is not None:
            context["page_actions"] = self.buttons(request, obj)
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **options)
        return response

    def buttons(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        """The actions that a row's page offers."""
        offered = ((name, getattr(type(self), name)) for name in self.page_actions)
        return [
            {
                "title": method.short_description,
                "icon": method.icon,
                "link": self.address("act", obj.pk, name),
                "danger": method.danger,
            }
            for name, method in offered
            if self.may_act(request, method, obj) and self.is_useful(name, obj)
        ]

    def is_useful(self, name: str, obj: Any) -> bool:
        """Whether an action would change anything about this row. If not, its page does not offer it."""
        return True

    # --- Actions ---

    def response_action(self, request: HttpRequest, queryset: "QuerySet[Any]") -> HttpResponse | None:
        if any(id_in(selected) is None for selected in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadSelection
        try:
            answer: HttpResponse | None = super().response_action(request, queryset)
        except ApiError as error:
            self.message_user(request, _(str(error)), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return answer

    def act_on_one(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """/admin/…/7/act/pause/: asks for confirmation; a confirmed POST runs the action."""
        row = self.get_object(request, unquote(object_id))
        if name not in self.page_actions or not self.has_view_permission(request, row):
            raise Http404
        back = self.address("change", row.pk)
        try:
            answer: HttpResponse | None = getattr(self, name)(request, self.get_queryset(request).filter(pk=row.pk))
        except ApiError as error:
            self.message_user(request, _(str(error)), messages.ERROR)
            return HttpResponseRedirect(back)
        if answer is not None:
            return answer
        gone = not self.get_queryset(request).filter(pk=row.pk).exists()
        return HttpResponseRedirect(self.address("changelist") if gone else back)

    def is_confirmed(self, request: HttpRequest) -> bool:
        """Whether this request was sent from the confirmation page that `ask` shows."""
        return request.method == "POST" and CONFIRMED in request.POST

    def ask(
        self,
        request: HttpRequest,
        *,
        question: Any,
        touches: Any,
        name: str,
        rows: Iterable[tuple[Any, Any]] = (),
        warning: Any = "",
        form: Form | None = None,
    ) -> HttpResponse:
        """The page that asks for confirmation of the action `name`; `touches` says how much it will change.

        Lists only the first LISTED rows, and says so.
        """
        rows = list(islice(rows, LISTED + 1))
        method = getattr(type(self), name)
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": method.short_description,
            "crumbs": self.crumbs(str(method.short_description)),
            "question": question,
            "touches": touches,
            "rows": rows[:LISTED],
            "cut": cut_note(rows),
            "warning": warning,
            "form": form,
            "danger": method.danger,
            "button": method.short_description,
            "hidden": self._hidden(request),
            "back": self.address("changelist") if request.method == "POST" else self._page_before(request),
        }
        return TemplateResponse(request, "admin/confirm.html", context)

    def _hidden(self, request: HttpRequest) -> list[tuple[str, str]]:
        """The hidden fields with which the confirmation repeats the request."""
        kept = [(CONFIRMED, "yes")]
        for name in ("action", "select_across", ACTION_CHECKBOX_NAME):
            kept += [(name, value) for value in request.POST.getlist(name)]
        return kept

    def _page_before(self, request: HttpRequest) -> str:
        return request.path.rpartition("act/")[0] + "change/"
