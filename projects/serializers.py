"""How a project looks on the wire."""

from typing import Any

from projects.models import Project


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
