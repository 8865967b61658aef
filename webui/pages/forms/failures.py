"""The forms of what can be done with the tasks of a group of failures."""

from django import forms
from django.utils.translation import gettext_lazy as _

from tracker.api.fields import INT16


class ConfirmForm(forms.Form):
    """Nothing to fill in."""


class PriorityForm(forms.Form):
    priority = forms.IntegerField(label=_("New priority"), min_value=INT16[0], max_value=INT16[1], initial=0)
