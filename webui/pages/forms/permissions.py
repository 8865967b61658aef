"""The form of the permissions page."""

from django import forms
from django.utils.translation import gettext_lazy as _

from tracker.api.fields import INT64
from workers.models import Worker


class GrantForm(forms.Form):
    """Gives a worker access by its id, which its owner knows."""

    worker = forms.IntegerField(label=_("Id of the worker"), min_value=1, max_value=INT64[1])
    access = forms.ChoiceField(
        label=_("May"), choices=[("assign", _("lease tasks")), ("submit", _("lease and submit tasks"))]
    )

    def clean_worker(self) -> Worker:
        worker = Worker.objects.filter(pk=self.cleaned_data["worker"]).first()
        if worker is None:
            raise forms.ValidationError(_("There is no worker %(id)s.") % {"id": self.cleaned_data["worker"]})
        return worker
