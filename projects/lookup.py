"""Looking up a project, and the error if there is none."""

from typing import NamedTuple

from projects.models import Project
from tracker.api.errors import NotFound


class ProjectFields(NamedTuple):
    """The fields of a project that the API shows, named as in projects.models.Project."""

    pk: int
    priority: int
    name: str
    clone_url: str
    git_repo: str
    version: str
    motd: str
    public: bool
    hidden: bool
    chain_id: int | None
    paused: bool
    assign_rate: float
    submit_rate: float


class NoSuchProject(NotFound):
    """There is no such project."""


def project_named(name_or_id: str) -> Project:
    """The project with this name or, if there is none, with this id. Raises NoSuchProject."""
    project = Project.objects.called(name_or_id)
    if project is None and name_or_id.isascii() and name_or_id.isdigit():
        project = Project.objects.filter(pk=min(int(name_or_id), 2**63 - 1)).first()
    if project is None:
        raise NoSuchProject(f'There is no project with the name or id "{name_or_id}"; queue_status lists them.')
    return project
