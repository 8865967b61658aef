"""The forms of the project pages. The services enforce the rules."""

from collections.abc import Container
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects.access import known_chains
from projects.models import Backoff, Project
from projects.roles import Role
from tracker.text import isolated

Viewer = User | AnonymousUser

# How many projects a form or filter offers to choose from.
MOST_CHOICES = 500


# How the delay before the next attempt grows, as forms name it.
BACKOFFS = {
    Backoff.NONE: _("At once"),
    Backoff.FIXED: _("Fixed: as long each time"),
    Backoff.LINEAR: _("Linear: longer by the first delay each time"),
    Backoff.EXPONENTIAL: _("Exponential: twice as long each time"),
}


class Lines(forms.CharField):
    """Multi-line text. Browsers send line breaks as CR LF; this changes them back to LF."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text


class ChainField(forms.ModelChoiceField):
    """The next project of the chain. A project that the manager may not see is shown by its id.

    Of more than MOST_CHOICES projects, it takes the id.
    """

    visible: Container[int] = ()
    number_input: type[forms.Widget] = forms.NumberInput

    def offer(self, projects: "QuerySet[Project]", viewer: Viewer) -> None:
        """Let the viewer choose among these projects."""
        self.queryset = projects.order_by("name")
        offered = list(projects.values_list("pk", flat=True)[: MOST_CHOICES + 1])
        if len(offered) > MOST_CHOICES:
            self.widget = self.number_input({"min": 1})
            told = _("There are too many for a list: enter the id of one.")
            self.help_text = f"{self.help_text} {told}"
        else:
            seen = Project.objects.visible_to(viewer).filter(pk__in=offered)
            self.visible = set(seen.values_list("pk", flat=True))

    def label_from_instance(self, project: Project) -> str:
        if project.pk in self.visible:
            return isolated(project.name)
        return str(_("project %(id)s, which you may not see") % {"id": project.pk})


def is_stored_name(sent: str | None, stored: str | None) -> bool:
    """Whether the name that a form sent is the stored one, apart from what browsers and forms take off."""
    return sent is not None and stored is not None and sent == stored.replace("\r", "").replace("\n", "").strip()


class ProjectForm(forms.ModelForm):
    """All settings of a project; `chain` offers the projects in which the manager has EDIT."""

    class Meta:
        model = Project
        fields = (
            *("name", "motd", "public", "hidden", "priority", "clone_url", "git_repo", "production_branch", "version"),
            *("chain", "assign_rate", "submit_rate", "lease_seconds", "max_lease_seconds", "max_leases"),
            *("max_expiries", "retention_days", "ageing_seconds", "max_votes"),
            *("retry_backoff", "retry_seconds", "retry_max_seconds", "retry_jitter"),
        )
        labels = {
            "name": _("Name"),
            "motd": _("Message of the day"),
            "public": _("Public"),
            "hidden": _("Hidden"),
            "priority": _("Priority"),
            "clone_url": _("Clone URL"),
            "git_repo": _("Repository"),
            "production_branch": _("Production branch"),
            "version": _("Version"),
            "chain": _("Closed tasks go on to"),
            "assign_rate": _("Leases per second"),
            "submit_rate": _("Submissions per second"),
            "lease_seconds": _("Lease duration, in seconds"),
            "max_lease_seconds": _("Longest extension of a lease, in seconds"),
            "max_leases": _("Leases that a worker may hold"),
            "max_expiries": _("Expired leases until a task is failed"),
            "retention_days": _("Retention of closed tasks, in days"),
            "ageing_seconds": _("Waiting that counts as a priority more, in seconds"),
            "max_votes": _("Votes until a task is failed"),
            "retry_backoff": _("Delay after a failed attempt"),
            "retry_seconds": _("First delay, in seconds"),
            "retry_max_seconds": _("Longest delay, in seconds"),
            "retry_jitter": _("Delays shortened at random, in percent"),
        }
        help_texts = {
            "motd": _("Shown on the project's page and sent to workers."),
            "public": _("Every worker may lease. Only a tracker admin may change this."),
            "hidden": _("Known only to managers with a role and workers with access. Can't be combined with “Public”."),
            "priority": _("Higher first, for workers that lease without naming a project."),
            "clone_url": _("Where workers get the code from."),
            "git_repo": _("owner/name, as in the git host's pushes."),
            "production_branch": _("Pushes to it set the version. Empty: the repository's default branch."),
            "version": _("The commit that workers should run."),
            "chain": _("A copy of each closed task is added to this project. You need the role EDIT in it."),
            "assign_rate": _("0 is unlimited."),
            "submit_rate": _("0 is unlimited."),
            "lease_seconds": _(
                "For tasks that don't set their own. It counts from the lease, for all tasks that are leased at once: "
                "longer than a worker needs for the whole batch."
            ),
            "max_lease_seconds": _("How far from now a worker's heartbeat may move the end of a lease."),
            "max_leases": _("At the same time. 0: 1,000 if the project is public, else 10,000."),
            "max_expiries": _("So that a task that kills its workers stops circling. 0: never."),
            "retention_days": _("0: not kept."),
            "ageing_seconds": _(
                "Each time that a task has waited so long, it is leased as if its priority were one higher. 0: never."
            ),
            "max_votes": _(
                "When so many workers have verified a task without enough of them agreeing, it is failed, and you can "
                "accept a result by hand. 0: never."
            ),
            "retry_backoff": _(
                "A task that failed and may be tried again is ready at once, or is delayed so long. A worker may say "
                "something else with its report."
            ),
            "retry_seconds": _("After the first failed attempt; with “Fixed”, after each."),
            "retry_max_seconds": _("However often a task has failed. At most a week, which is 604800."),
            "retry_jitter": _("By up to so much, so that tasks that failed together don't come back together."),
        }
        widgets = {"motd": forms.Textarea({"rows": 4})}
        field_classes = {"motd": Lines, "chain": ChainField}

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Send the initial values along, so that saving does not overwrite a value that a push has set meanwhile.
        for field in self.fields.values():
            field.show_hidden_initial = True
        self.fields["retry_backoff"].choices = list(BACKOFFS.items())  # type: ignore[attr-defined]
        if not (isinstance(viewer, User) and viewer.is_tracker_admin):
            self.fields["public"].disabled = True
        chain: Any = self.fields["chain"]
        chain.empty_label = _("no project")
        edited = Project.objects.with_role(viewer, Role.EDIT).values("pk")
        known = known_chains(viewer, [self.instance])
        if not known:
            # A chain to a project that the manager may not see looks like none, and stays unless another is chosen.
            self.initial["chain"] = None
        offered = Q(pk__in=edited) | Q(pk__in=known)
        chain.offer(Project.objects.filter(offered).exclude(pk=self.instance.pk), viewer)

    def _post_clean(self) -> None:
        """Disabled: it would validate the instance, but the services validate and save the values."""

    def changes(self) -> dict[str, Any]:
        """The arguments for the services: the values changed on the page, with the chain as an id, 0 for none."""
        values = {name: self.cleaned_data[name] for name in self.changed_data}
        if is_stored_name(values.get("name"), self.initial.get("name")):
            del values["name"]
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
        help_text=_("Any text, such as passwords or keys. Workers with ASSIGN can read it."),
    )


class WebhookSecretForm(forms.Form):
    webhook_secret = forms.CharField(
        label=_("Webhook secret"),
        required=False,
        max_length=1000,
        widget=forms.TextInput({"class": "code", "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("Give the same secret to the git host. Without a secret, no push is accepted."),
    )
