"""The forms for projects in the admin. The services enforce the rules."""

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.forms.models import construct_instance
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from accounts.models import User
from projects.access import known_chains
from projects.models import Project
from projects.roles import Role
from tracker.api.errors import ApiError
from webui.pages.common import blame
from webui.pages.forms.projects import BACKOFFS, ChainField, ProjectForm, is_stored_name

# The parts of the settings page.
FIELDSETS = (
    (None, {"fields": ("name", "motd", "priority", "public", "hidden", "chain")}),
    (_("Code"), {"fields": ("clone_url", "git_repo", "production_branch", "version")}),
    (_("Queue"), {"fields": ("assign_rate", "submit_rate", "ageing_seconds", "retention_days")}),
    (_("Leases"), {"fields": ("lease_seconds", "max_lease_seconds", "max_leases", "max_expiries")}),
    (
        _("Retries and verification"),
        {"fields": ("retry_backoff", "retry_seconds", "retry_max_seconds", "retry_jitter", "max_votes")},
    ),
)


class ProjectAdminForm(forms.ModelForm):
    """All settings of a project, with the labels and help texts of the pages."""

    manager: ClassVar[User | AnonymousUser] = AnonymousUser()
    # The error that the services raised for this form at the first attempt.
    refused: ClassVar[ApiError | None] = None

    class Meta:
        model = Project
        fields = ProjectForm.Meta.fields
        labels = ProjectForm.Meta.labels
        help_texts = ProjectForm.Meta.help_texts
        widgets = {"motd": UnfoldAdminTextareaWidget({"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Send the initial values along, so that saving does not overwrite a value that others have changed meanwhile.
        for field in self.fields.values():
            field.show_hidden_initial = True
        if "retry_backoff" in self.fields:
            self.fields["retry_backoff"].choices = list(BACKOFFS.items())  # type: ignore[attr-defined]
        if "chain" in self.fields:
            self.fields["chain"] = self._chain_field(self.fields["chain"])

    def _chain_field(self, field: Any) -> ChainField:
        edited = Project.objects.with_role(self.manager, Role.EDIT).values("pk")
        current = known_chains(self.manager, [self.instance])
        if not current:
            # As on the pages: a chain to a project that the manager may not see looks like none.
            self.initial["chain"] = None
        others = Project.objects.filter(Q(pk__in=edited) | Q(pk__in=current))
        chain = ChainField(
            queryset=Project.objects.none(),
            required=False,
            label=field.label,
            help_text=field.help_text,
            empty_label="–",
            widget=UnfoldAdminSelectWidget(),
            show_hidden_initial=True,
        )
        chain.number_input = UnfoldAdminIntegerFieldWidget
        chain.offer(others.exclude(pk=self.instance.pk), self.manager)
        return chain

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.refused is not None:
            blame(self, self.refused)
        return cleaned

    def _post_clean(self) -> None:
        # Validate each column by itself. The services check rules about several rows or columns; `clean` shows their
        # error at its field.
        construct_instance(self, self.instance, self._meta.fields, self._meta.exclude)
        given = set(self.cleaned_data)
        if is_stored_name(self.cleaned_data.get("name"), self.initial.get("name")):
            # A stored name stays valid, whatever the rules for new ones are.
            given.discard("name")
        if "motd" not in self.changed_data:
            given.discard("motd")
        try:
            self.instance.clean_fields(exclude={one.name for one in Project._meta.fields} - given)
        except ValidationError as error:
            for field, problems in error.message_dict.items():
                self.add_error(field, [gettext(problem) for problem in problems])

    def changes(self, names: list[str] | None = None) -> dict[str, Any]:
        """The arguments for the services: these fields, by default all, and the chain as an id with 0 for none."""
        values = {name: self.cleaned_data[name] for name in (self.cleaned_data if names is None else names)}
        if is_stored_name(values.get("name"), self.initial.get("name")):
            del values["name"]
        if "chain" in values:
            chain = values.pop("chain")
            values["chain_id"] = chain.pk if chain else 0
        return values


class RolesForm(forms.Form):
    """One manager's roles in a project, with a checkbox for each."""

    READ = forms.BooleanField(required=False, widget=UnfoldBooleanWidget({"aria-label": "READ"}))
    EDIT = forms.BooleanField(required=False, widget=UnfoldBooleanWidget({"aria-label": "EDIT"}))
    MANAGE_ACCESS = forms.BooleanField(required=False, widget=UnfoldBooleanWidget({"aria-label": "MANAGE_ACCESS"}))
    SECRET = forms.BooleanField(required=False, widget=UnfoldBooleanWidget({"aria-label": "SECRET"}))
    MAINTENANCE = forms.BooleanField(required=False, widget=UnfoldBooleanWidget({"aria-label": "MAINTENANCE"}))

    def roles(self) -> Role:
        """The roles whose boxes are checked."""
        return Role(sum(role for role in Role if self.cleaned_data[str(role.name)]))
