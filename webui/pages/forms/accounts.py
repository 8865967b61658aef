"""The forms of the account pages. The services check the values."""

from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm, UsernameField
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext_lazy as _

from accounts.models import LONGEST_NAME, SHORTEST_NAME
from accounts.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD

# Phones would capitalise or "correct" a name.
_NAME_INPUT = {
    "autocomplete": "username",
    "autocapitalize": "none",
    "autocorrect": "off",
    "spellcheck": "false",
    "autofocus": True,
}


class LoginForm(forms.Form):
    username = forms.CharField(
        label=_("Name"),
        # A name may be typed with more characters than it is stored with, such as accents of their own.
        max_length=4 * LONGEST_NAME,
        widget=forms.TextInput(_NAME_INPUT),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )


class RegisterForm(forms.Form):
    username = UsernameField(
        label=_("Name"),
        min_length=SHORTEST_NAME,
        max_length=LONGEST_NAME,
        help_text=_("3 to 16 letters, digits and @ . + - _. Other managers see it."),
        widget=forms.TextInput(_NAME_INPUT),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        min_length=SHORTEST_PASSWORD,
        max_length=LONGEST_PASSWORD,
        help_text=_("At least 8 characters, not a common password and not only digits."),
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )


class PasswordForm(PasswordChangeForm):
    """Django's form, with the maximum length that the login form accepts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.validators.append(MaxLengthValidator(LONGEST_PASSWORD))
