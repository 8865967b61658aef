"""Requests and responses about projects."""

from collections.abc import Container
from typing import Any

from rest_framework.fields import BooleanField, ChoiceField, FloatField, IntegerField

from accounts.models import User
from accounts.serializers import ManagerContent, manager_content
from projects.lookup import ProjectFields
from projects.models import (
    HIGHEST_RATE,
    LONGEST_DELAY,
    LONGEST_MOTD,
    LONGEST_RETENTION_DAYS,
    LOWEST_RATE,
    Backoff,
    Project,
    Snapshot,
)
from projects.roles import ALL_ROLES, Role
from tracker.api.description import Content
from tracker.api.fields import INT16, INT32, INT64, Choice, Flag, Id, Rate, Text, WholeNumber
from tracker.api.paging import PageQuery
from tracker.api.serializers import RequestSerializer

NAME_HELP = "Unique, whatever its case: see Names."
MAX_LEASE_SECONDS_HELP = "How many seconds from now a worker's heartbeat may extend a lease to at most."
MAX_LEASES_HELP = "How many tasks a worker may hold at once; 0: 1,000 if the project is public, else 10,000."
MAX_EXPIRIES_HELP = "How many leases of a task may expire before it is FAILED; 0: any number."
RETRY_BACKOFF_HELP = (
    "How long a task waits after a FAIL that is not the last: `none`, it is ready at once; `fixed`, always "
    "`retry_seconds`; `linear`, as many times that as it has failed; `exponential`, twice as long each time."
)
RETRY_MAX_HELP = "The longest wait in seconds, at most a week."
RETRY_JITTER_HELP = "By up to how many percent a wait is shortened at random, so that not all come back at once."
MAX_VOTES_HELP = "How many workers may verify a task without enough agreeing before it is FAILED; 0: any number."
AGEING_HELP = (
    "Each time that a task has waited so many seconds, it is leased as if its priority were one higher; 0: never."
)
RATE_HELP = f"Tasks per second, {LOWEST_RATE:f} or more; 0, or more than {HIGHEST_RATE:.0f}: unlimited, read back as 0."


class _Settings(RequestSerializer):
    clone_url = Text(longest=2000, required=False, help_text="Where workers get the code from.")
    git_repo = Text(longest=500, required=False, help_text="`owner/name`, as the git host's pushes name it.")
    version = Text(longest=200, required=False, help_text="The commit that workers should run; pushes set it.")
    production_branch = Text(
        longest=200, required=False, help_text="Pushes to it set `version`; empty: the default branch."
    )
    priority = WholeNumber(low=0, high=INT32[1], required=False, help_text="Higher is leased from first.")
    motd = Text(required=False, help_text=f"A message of the day, of at most {LONGEST_MOTD} bytes in UTF-8.")
    public = Flag(required=False, help_text="Every worker may lease. Only a tracker admin may change this.")
    hidden = Flag(
        required=False, help_text="Only managers with READ and workers with a grant know of it. Excludes `public`."
    )
    paused = Flag(required=False, help_text="No task is leased.")
    chain = WholeNumber(
        low=0,
        high=INT64[1],
        required=False,
        help_text=(
            "The project that gets a copy of each closed task; 0: none. A chain that reads 0 because you may not see "
            "its project stays as it is."
        ),
    )
    assign_rate = Rate(low=LOWEST_RATE, high=HIGHEST_RATE, required=False, help_text=RATE_HELP)
    submit_rate = Rate(low=LOWEST_RATE, high=HIGHEST_RATE, required=False, help_text=RATE_HELP)
    lease_seconds = WholeNumber(
        low=1,
        high=INT32[1],
        required=False,
        help_text=(
            "Duration of a lease if the task's max_assign_time is 0. It counts from the lease, for all tasks that are "
            "leased at once: longer than a worker needs for the whole batch."
        ),
    )
    max_lease_seconds = WholeNumber(low=1, high=INT32[1], required=False, help_text=MAX_LEASE_SECONDS_HELP)
    max_leases = WholeNumber(low=0, high=INT32[1], required=False, help_text=MAX_LEASES_HELP)
    max_expiries = WholeNumber(low=0, high=INT16[1], required=False, help_text=MAX_EXPIRIES_HELP)
    retry_backoff = Choice(choices=Backoff.values, required=False, help_text=RETRY_BACKOFF_HELP)
    retry_seconds = WholeNumber(low=1, high=LONGEST_DELAY, required=False, help_text="The wait after the first FAIL.")
    retry_max_seconds = WholeNumber(low=1, high=LONGEST_DELAY, required=False, help_text=RETRY_MAX_HELP)
    retry_jitter = WholeNumber(low=0, high=100, required=False, help_text=RETRY_JITTER_HELP)
    max_votes = WholeNumber(low=0, high=INT16[1], required=False, help_text=MAX_VOTES_HELP)
    ageing_seconds = WholeNumber(low=0, high=INT32[1], required=False, help_text=AGEING_HELP)
    retention_days = WholeNumber(
        low=0, high=LONGEST_RETENTION_DAYS, required=False, help_text="How many days closed tasks are kept."
    )

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """Drop what was not sent: it gets the model's default, or stays unchanged."""
        values["chain_id"] = values.pop("chain")
        for name in [name for name, value in values.items() if value is None]:
            del values[name]


class CreateProjectRequest(_Settings):
    name = Text(shortest=1, longest=200, help_text=NAME_HELP)


class UpdateProjectRequest(_Settings):
    name = Text(shortest=1, longest=200, required=False, help_text=NAME_HELP)


class ProjectsQuery(PageQuery):
    # Projects are longer than the entries of other lists.
    limit = WholeNumber(low=1, high=1000, default=1000)


class MonitoringQuery(RequestSerializer):
    count = WholeNumber(low=1, high=999, default=100)


class MonitoringBetweenQuery(RequestSerializer):
    # Up to the end of the year 9999, the limit of Python's datetime. `from` is a keyword and no valid attribute name.
    locals()["from"] = WholeNumber(low=0, high=253_402_300_799, means="Unix seconds", help_text="Unix seconds.")
    to = WholeNumber(low=0, high=253_402_300_799, means="Unix seconds", help_text="Unix seconds.")

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        values["begin"], values["end"] = values.pop("from"), values.pop("to")


class WebhookSecretRequest(RequestSerializer):
    webhook_secret = Text(longest=1000)


ROLES = ", ".join(f"{role.value} {role.name}" for role in Role)


class SetRoleRequest(RequestSerializer):
    manager = Id()
    role = WholeNumber(low=0, high=int(ALL_ROLES), means=f"a sum of {ROLES}", help_text=f"The sum of {ROLES}; 0: none.")


class ProjectContent(Content):
    id = Id()
    priority = IntegerField()
    name = Text()
    clone_url = Text()
    git_repo = Text()
    version = Text()
    motd = Text()
    public = BooleanField()
    hidden = BooleanField()
    chain = IntegerField(
        help_text="The project that gets a copy of each closed task; 0: none, or one that you may not see."
    )
    paused = BooleanField()
    assign_rate = FloatField(help_text=RATE_HELP)
    submit_rate = FloatField(help_text=RATE_HELP)


class ProjectTwiceContent(ProjectContent):
    max_lease_seconds = IntegerField(help_text=MAX_LEASE_SECONDS_HELP)
    max_leases = IntegerField(help_text=MAX_LEASES_HELP)
    max_expiries = IntegerField(help_text=MAX_EXPIRIES_HELP)
    retry_backoff = ChoiceField(Backoff.values, help_text=RETRY_BACKOFF_HELP)
    retry_seconds = IntegerField(help_text="The wait after the first FAIL.")
    retry_max_seconds = IntegerField(help_text=RETRY_MAX_HELP)
    retry_jitter = IntegerField(help_text=RETRY_JITTER_HELP)
    max_votes = IntegerField(help_text=MAX_VOTES_HELP)
    ageing_seconds = IntegerField(help_text=AGEING_HELP)
    project = ProjectContent(help_text="The same fields again.")


class SnapshotContent(Content):
    new_task_count = IntegerField(help_text="Neither failed nor closed; leased and delayed ones count.")
    delayed_task_count = IntegerField(help_text="Of the new ones, those that wait for a time.")
    failed_task_count = IntegerField()
    closed_task_count = IntegerField(help_text="Closed since the project was created.")
    awaiting_verification_count = IntegerField(help_text="Tasks with too few agreeing results.")
    worker_access_count = IntegerField()
    time_stamp = IntegerField(help_text="Unix seconds.")


class ManagerRoleContent(Content):
    manager = ManagerContent()
    role = IntegerField(help_text=f"The sum of {ROLES}.")


def project_content(project: Project | ProjectFields, *, known: Container[int] | None = None) -> dict[str, Any]:
    """The project object of the API. Never a secret.

    `known` are the projects that the viewer may know of: a chain to another one reads as none. None means that the
    query has seen to that.
    """
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
        "chain": project.chain_id if project.chain_id and (known is None or project.chain_id in known) else 0,
        "paused": project.paused,
        "assign_rate": project.assign_rate,
        "submit_rate": project.submit_rate,
    }


# Settings of the queue that are told of a single project only: a leased task comes with its project.
_LIMITS = (
    *(
        "max_lease_seconds",
        "max_leases",
        "max_expiries",
        "retry_backoff",
        "retry_seconds",
        "retry_max_seconds",
        "retry_jitter",
    ),
    *("max_votes", "ageing_seconds"),
)


def limits_content(project: Project) -> dict[str, Any]:
    """The settings of the queue that `project_content` leaves out."""
    return {name: getattr(project, name) for name in _LIMITS}


def snapshot_content(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot object of the API."""
    return {
        "new_task_count": snapshot.new_task_count,
        "delayed_task_count": snapshot.delayed_task_count,
        "failed_task_count": snapshot.failed_task_count,
        "closed_task_count": snapshot.closed_task_count,
        "awaiting_verification_count": snapshot.awaiting_verification_count,
        "worker_access_count": snapshot.worker_access_count,
        "time_stamp": int(snapshot.taken.timestamp()),
    }


def manager_role_content(manager: User, role: Role) -> dict[str, Any]:
    """A manager and the sum of its roles in a project."""
    return {"manager": manager_content(manager), "role": int(role)}
