"""How managers look on the wire."""

from typing import Any

from accounts.models import LONGEST_NAME, SHORTEST_NAME, User
from tracker.api.errors import InvalidField
from tracker.api.fields import Text
from tracker.api.serializers import RequestSerializer

SHORTEST_PASSWORD = 8
# A hasher takes its time over every byte.
LONGEST_PASSWORD = 1000


class RegisterRequest(RequestSerializer):
    username = Text(filled=True, longest=LONGEST_NAME)
    password = Text(filled=True, longest=LONGEST_PASSWORD)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        for field, shortest in (("username", SHORTEST_NAME), ("password", SHORTEST_PASSWORD)):
            if len(values[field]) < shortest:
                raise InvalidField(field, f"must be at least {shortest} characters long.")


class LoginRequest(RequestSerializer):
    username = Text(filled=True)
    password = Text(filled=True, longest=LONGEST_PASSWORD)


def manager_content(manager: User) -> dict[str, Any]:
    """The manager object of the API."""
    return {
        "id": manager.pk,
        "username": manager.username,
        "tracker_admin": manager.is_superuser,
        "register_time": int(manager.date_joined.timestamp()),
    }
