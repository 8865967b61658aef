"""How projects look on the wire."""

from typing import Any

from accounts.models import User
from accounts.serializers import manager_content
from projects.models import HIGHEST_RATE, LONGEST_RETENTION_DAYS, LOWEST_RATE, Project, Snapshot
from projects.roles import ALL_ROLES, Role
from tracker.api.fields import INT32, INT64, Flag, Id, Rate, Text, WholeNumber
from tracker.api.serializers import RequestSerializer


class _Settings(RequestSerializer):
    clone_url = Text(longest=2000, required=False)
    git_repo = Text(longest=500, required=False)
    version = Text(longest=200, required=False)
    production_branch = Text(longest=200, required=False)
    priority = WholeNumber(low=0, high=INT32[1], required=False)
    motd = Text(required=False)
    public = Flag(required=False)
    hidden = Flag(required=False)
    paused = Flag(required=False)
    chain = WholeNumber(low=0, high=INT64[1], required=False)
    assign_rate = Rate(low=LOWEST_RATE, high=HIGHEST_RATE, required=False)
    submit_rate = Rate(low=LOWEST_RATE, high=HIGHEST_RATE, required=False)
    lease_seconds = WholeNumber(low=1, high=INT32[1], required=False)
    retention_days = WholeNumber(low=0, high=LONGEST_RETENTION_DAYS, required=False)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """What was not sent is left to the model's default, or as it is."""
        values["chain_id"] = values.pop("chain")
        for name in [name for name, value in values.items() if value is None]:
            del values[name]


class CreateProjectRequest(_Settings):
    name = Text(filled=True, longest=200, one_line=True)


class UpdateProjectRequest(_Settings):
    name = Text(filled=True, longest=200, one_line=True, required=False)


class MonitoringQuery(RequestSerializer):
    count = WholeNumber(low=1, high=999, default=100)


class MonitoringBetweenQuery(RequestSerializer):
    # Up to the end of the year 9999, where Python's calendar ends. `from` can't be written as an attribute.
    locals()["from"] = WholeNumber(low=0, high=253_402_300_799)
    to = WholeNumber(low=0, high=253_402_300_799)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        values["begin"], values["end"] = values.pop("from"), values.pop("to")


class WebhookSecretRequest(RequestSerializer):
    webhook_secret = Text(longest=1000)


class SetRoleRequest(RequestSerializer):
    manager = Id()
    role = WholeNumber(low=0, high=int(ALL_ROLES))


def project_content(project: Project) -> dict[str, Any]:
    """The project object of the API. Never a secret."""
    return {
        "id": project.pk,
        "priority": project.priority,
        "name": project.name,
        "clone_url": project.clone_url,
        "git_repo": project.git_repo,
        "version": project.version,
        "motd": project.motd,
        "public": project.public,
        "hidden": project.hidden,
        "chain": project.chain_id or 0,
        "paused": project.paused,
        "assign_rate": project.assign_rate,
        "submit_rate": project.submit_rate,
    }


def snapshot_content(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot of the API."""
    return {
        "new_task_count": snapshot.new_task_count,
        "failed_task_count": snapshot.failed_task_count,
        "closed_task_count": snapshot.closed_task_count,
        "awaiting_verification_count": snapshot.awaiting_verification_count,
        "worker_access_count": snapshot.worker_access_count,
        "time_stamp": int(snapshot.taken.timestamp()),
    }


def manager_role_content(manager: User, role: Role) -> dict[str, Any]:
    """A manager with its roles in a project, as the sum."""
    return {"manager": manager_content(manager), "role": int(role)}
