"""The forms of projects' pages. The rules are the services'."""

from collections.abc import Container
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects.models import Project
from projects.roles import Role

Viewer = User | AnonymousUser


class Lines(forms.CharField):
    """Text of several lines. Browsers send their ends as CR LF, which is not what was typed."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text


class ChainField(forms.ModelChoiceField):
    """The next project of the chain. One that the manager may not see goes by its id."""

    visible: Container[int] = ()

    def label_from_instance(self, project: Project) -> str:
        if project.pk in self.visible:
            return project.name
        return str(_("project %(id)s, which you may not see") % {"id": project.pk})


class ProjectForm(forms.ModelForm):
    """All settings of a project; `chain` offers the projects in which the manager has EDIT."""

    class Meta:
        model = Project
        fields = (
            *("name", "motd", "public", "hidden", "priority", "clone_url", "git_repo", "production_branch", "version"),
            *("chain", "assign_rate", "submit_rate", "lease_seconds", "retention_days"),
        )
        labels = {
            "name": _("Name"),
            "motd": _("Message of the day"),
            "public": _("Public"),
            "hidden": _("Hidden"),
            "priority": _("Priority"),
            "clone_url": _("Clone address"),
            "git_repo": _("Repository"),
            "production_branch": _("Production branch"),
            "version": _("Version"),
            "chain": _("Closed tasks go on to"),
            "assign_rate": _("Leases per second"),
            "submit_rate": _("Submits per second"),
            "lease_seconds": _("A lease lasts, in seconds"),
            "retention_days": _("Closed tasks are kept, in days"),
        }
        help_texts = {
            "motd": _("Shown on the project's page and sent to workers."),
            "public": _("Every worker may lease. Only a tracker admin may change this."),
            "hidden": _("Nobody without a role or a grant learns that it exists. Not together with public."),
            "priority": _("Higher first, where workers may choose."),
            "clone_url": _("Where workers get the code from."),
            "git_repo": _("owner/name, as the git host's pushes call it."),
            "production_branch": _("Pushes to it set the version. Empty: the repository's default branch."),
            "version": _("The commit that workers should run."),
            "chain": _("A copy of each closed task is put there. You need the role EDIT in it."),
            "assign_rate": _("0 is unlimited."),
            "submit_rate": _("0 is unlimited."),
            "lease_seconds": _("For tasks that don't say it themselves."),
            "retention_days": _("0: forgotten at once."),
        }
        widgets = {"motd": forms.Textarea({"rows": 4})}
        field_classes = {"motd": Lines, "chain": ChainField}

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What the page showed goes along, so that a value that a push has set meanwhile is not set back.
        for field in self.fields.values():
            field.show_hidden_initial = True
        if not (isinstance(viewer, User) and viewer.is_tracker_admin):
            self.fields["public"].disabled = True
        chain: Any = self.fields["chain"]
        chain.empty_label = _("nowhere")
        edited = Project.objects.with_role(viewer, Role.EDIT).values("pk")
        offered = Q(pk__in=edited) | Q(pk=self.instance.chain_id or 0)
        chain.queryset = Project.objects.filter(offered).exclude(pk=self.instance.pk).order_by("name")
        chain.visible = set(Project.objects.visible_to(viewer).filter(offered).values_list("pk", flat=True))

    def _post_clean(self) -> None:
        """Left out: it would check the instance, which is not what is saved; the services check it."""

    def changes(self) -> dict[str, Any]:
        """What to hand to the services: the values that differ from what the page showed, the chain as an id."""
        values = {name: self.cleaned_data[name] for name in self.changed_data}
        if "chain" in values:
            chain = values.pop("chain")
            values["chain_id"] = chain.pk if chain else 0
        return values


class SecretForm(forms.Form):
    secret = Lines(
        label=_("Secret for the workers"),
        required=False,
        strip=False,
        max_length=100_000,
        widget=forms.Textarea({"rows": 8, "class": "code", "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("Passwords, keys: any text. Workers with ASSIGN can read it."),
    )


class WebhookSecretForm(forms.Form):
    webhook_secret = forms.CharField(
        label=_("Webhook secret"),
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.TextInput({"class": "code", "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("Give the same to the git host. Without one, no push is believed."),
    )
