"""Devices on which a manager has logged in before: browsers and scripts that hold a signed cookie.

Whoever doesn't know the password can use up the attempts that a name has, but not those of a device that its owner has
used: these are counted by themselves. The cookie opens nothing. It holds an id of the device and, for the last few
managers who logged in there, a seal that changes with the password.
"""

import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User
from tracker.names import key_of

COOKIE = "device"
# Browsers keep no cookie longer than 400 days.
COOKIE_SECONDS = 400 * 86_400
# How many managers a device remembers.
MANAGERS = 5
_SALT = "accounts.devices"


def remember(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Mark the device as one on which this manager has logged in."""
    device, seals = _read(request)
    others = [one for one in seals if one[0] != user.pk]
    seals = [[user.pk, _seal(user)], *others][:MANAGERS]
    response.set_cookie(
        COOKIE,
        signing.dumps([device or secrets.token_hex(8), seals], salt=_SALT),
        max_age=COOKIE_SECONDS,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def known_caller(request: HttpRequest, username: str) -> str | None:
    """What to count this manager's attempts by: its session or its device. None if the request comes with neither."""
    name = key_of(username)
    if isinstance(request.user, User) and key_of(request.user.username) == name:
        return f"manager {request.user.pk}"
    device, seals = _read(request)
    # Looked up by what the cookie holds and not by the name, so that the time reveals nothing about the name.
    users = {user.pk: user for user in User.objects.filter(pk__in=[pk for pk, _seal in seals])} if seals else {}
    for pk, seal in seals:
        user = users.get(pk)
        if user is not None and key_of(user.username) == name and constant_time_compare(seal, _seal(user)):
            return f"device {device}"
    return None


def _seal(user: User) -> str:
    """Changes with the password, and when the manager's sessions are ended."""
    return salted_hmac(_SALT, user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:32]


def _read(request: HttpRequest) -> tuple[str, list[list[Any]]]:
    """The device's id, and the managers that it remembers with their seals; nothing if the cookie isn't ours."""
    try:
        device, seals = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return "", []
    return device, seals
