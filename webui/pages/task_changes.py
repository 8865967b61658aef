"""What may be done with open tasks: with one on its page, and with many on the page of a project's tasks."""

from collections.abc import Callable
from typing import NamedTuple

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tasks import maintenance
from tasks.queries.search import Criteria, State
from tracker.api.fields import INT16


class PriorityForm(forms.Form):
    priority = forms.IntegerField(label=_("New priority"), min_value=INT16[0], max_value=INT16[1], initial=0)


class Change(NamedTuple):
    """An operation on tasks. `only` is the state that they have to be in, if it matters."""

    run: Callable[[Criteria, PriorityForm], int]
    title: Promise
    explanation: Promise
    only: State | None = None
    is_grave: bool = False
    has_priority: bool = False


CHANGES = {
    "retry": Change(
        lambda criteria, form: maintenance.retry_matching(criteria),
        _("Retry"),
        _(
            "Failed tasks go back to the queue, with their retries reset to 0. Where workers disagreed, their votes "
            "are dropped."
        ),
        only=State.FAILED,
    ),
    "run_now": Change(
        lambda criteria, form: maintenance.run_now_matching(criteria),
        _("Run now"),
        _("Delayed tasks are ready at once."),
        only=State.DELAYED,
    ),
    "reclaim": Change(
        lambda criteria, form: maintenance.release_matching(criteria),
        _("Reclaim the lease"),
        _("Leased tasks go back to the queue; what their workers report later is ignored."),
        only=State.LEASED,
    ),
    "priority": Change(
        lambda criteria, form: maintenance.set_priority_of_matching(criteria, priority=form.cleaned_data["priority"]),
        _("Change the priority"),
        _("The task with the highest priority is leased first."),
        has_priority=True,
    ),
    "delete": Change(
        lambda criteria, form: maintenance.delete_matching(criteria),
        _("Delete"),
        _("These tasks are deleted for good: they neither count as closed nor go on along a chain."),
        is_grave=True,
    ),
}
