"""The forms of projects' pages. The rules are the services'."""

from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects.models import Project
from projects.roles import Role, projects_with

Viewer = User | AnonymousUser


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

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not (isinstance(viewer, User) and viewer.is_tracker_admin):
            self.fields["public"].disabled = True
        others = projects_with(viewer, Role.EDIT) | Project.objects.filter(chained_from=self.instance.pk)
        chain: Any = self.fields["chain"]
        chain.queryset = others.exclude(pk=self.instance.pk).distinct().order_by("name")
        chain.empty_label = _("nowhere")

    def _post_clean(self) -> None:
        """Left out: it would check the instance, which is not what is saved; the services check it."""

    def changes(self) -> dict[str, Any]:
        """What to hand to the services: all values, the chain, if it changes, as an id with 0 for none."""
        values = dict(self.cleaned_data)
        chain = values.pop("chain")
        if self.fields["public"].disabled:
            del values["public"]
        # Left alone, it needs no EDIT in the other project.
        if chain != self.instance.chain:
            values["chain_id"] = chain.pk if chain else 0
        return values


class SecretForm(forms.Form):
    secret = forms.CharField(
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
