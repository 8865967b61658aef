"""Requests and responses about managers."""

from typing import Any

from rest_framework.fields import BooleanField, IntegerField

from accounts.models import LONGEST_NAME, SHORTEST_NAME, User
from accounts.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from tracker.api.description import Content
from tracker.api.fields import Id, Name, Text
from tracker.api.serializers import RequestSerializer


class RegisterRequest(RequestSerializer):
    username = Name(
        shortest=SHORTEST_NAME,
        longest=LONGEST_NAME,
        help_text="Letters, digits and @ . + - _. Unique, whatever its case: see Names.",
    )
    password = Text(shortest=SHORTEST_PASSWORD, longest=LONGEST_PASSWORD)


class LoginRequest(RequestSerializer):
    username = Text(shortest=1, help_text="In upper or lower case.")
    password = Text(shortest=1, longest=LONGEST_PASSWORD)


class ManagerContent(Content):
    id = Id()
    username = Text()
    tracker_admin = BooleanField()
    register_time = IntegerField(help_text="Unix seconds.")


def manager_content(manager: User) -> dict[str, Any]:
    """The manager object of the API."""
    return {
        "id": manager.pk,
        "username": manager.username,
        "tracker_admin": manager.is_superuser,
        "register_time": int(manager.date_joined.timestamp()),
    }
