from typing import Any

from django.contrib.auth.management.commands import changepassword

from accounts.models import User
from tracker.commands import OperatorCommand


class Command(OperatorCommand, changepassword.Command):
    help = "Changes a manager's password. The name may be in upper or lower case."

    def handle(self, *args: Any, **options: Any) -> str | None:
        user = User.objects.called(options["username"]) if options["username"] else None
        if user is not None:
            options["username"] = user.username
        done: str | None = super().handle(*args, **options)
        return done
