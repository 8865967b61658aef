"""manage.py createsuperuser and changepassword."""

import io

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.management.commands import changepassword
from django.core.management import CommandError, call_command

from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

User = get_user_model()


def create(username):
    call_command("createsuperuser", username=username, email="a@example.org", interactive=False, stdout=io.StringIO())


@pytest.mark.parametrize(
    ("username", "stored"), [("ada", "ada"), ("rene\u0301", "rené"), ("ａｄａ", "ada"), ("e\u0301" * 8, "é" * 8)]
)
def test_superuser(username, stored):
    create(username)
    user = User.objects.get()
    assert (user.username, user.is_superuser) == (stored, True)


@pytest.mark.parametrize("username", ["ada", "ADA", "ａda"])
def test_taken_name(username):
    UserFactory(username="Ada")
    with pytest.raises(CommandError, match="already taken"):
        create(username)
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("username", "problem"), [("adа", "must not mix letters"), ("a\u202eda", "visible characters"), ("ab", "least 3")]
)
def test_refused_name(username, problem):
    with pytest.raises(CommandError, match=problem):
        create(username)
    assert not User.objects.exists()


@pytest.mark.parametrize("typed", ["René", "RENÉ", "rene\u0301"])
def test_password(monkeypatch, typed):
    UserFactory(username="René")
    monkeypatch.setattr(changepassword.getpass, "getpass", lambda prompt: "correct horse")
    output = io.StringIO()
    call_command("changepassword", typed, stdout=output)
    assert "Password changed successfully for user 'René'" in output.getvalue()
    assert User.objects.get().check_password("correct horse")


def test_password_of_nobody():
    with pytest.raises(CommandError, match="user 'nobody' does not exist"):
        call_command("changepassword", "nobody")
