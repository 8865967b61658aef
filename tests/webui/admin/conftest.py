"""Signed-in managers, and helpers to open the admin's pages and to run its actions."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tests.factories import ProjectFactory, TaskFactory, UserFactory
from workers.models import WorkerAccess

LISTS = (
    *("projects/project", "projects/snapshot", "tasks/task", "tasks/closedtask", "tasks/failuregroup"),
    *("workers/worker", "workers/workeraccess", "logs/logentry"),
)


class Browser:
    """The admin as one manager sees it."""

    def __init__(self, manager: Any) -> None:
        self.client = Client()
        self.client.force_login(manager)

    def get(self, path: str, status: int = 200) -> str:
        response = self.client.get(f"/admin/{path}")
        assert response.status_code == status, (path, response.status_code)
        return response.content.decode()

    def rows(self, path: str) -> list[Any]:
        """The rows that a list shows."""
        response = self.client.get(f"/admin/{path}")
        assert response.status_code == 200, (path, response.status_code)
        return list(response.context["cl"].result_list)

    def act(self, path: str, action: str, rows: Any, *, confirmed: bool = True, **fields: Any) -> Any:
        """Run a list's action on rows: confirmed, or only up to its confirmation page."""
        data = {"action": action, "_selected_action": [getattr(row, "pk", row) for row in rows], **fields}
        if confirmed:
            data["confirmed"] = "yes"
        else:
            data["index"] = "0"
        return self.client.post(f"/admin/{path}", data)

    def say(self, response: Any) -> str:
        """The page to which a response redirects, with its messages."""
        return unescape(self.client.get(response["Location"]).content.decode())

    def all_pages(self, path: str) -> list[Any]:
        """Every row of a list, page by page."""
        seen: list[Any] = []
        query = path
        for _turn in range(100):
            response = self.client.get(f"/admin/{query}")
            changelist = response.context["cl"]
            seen += changelist.result_list
            if changelist.next_query is None:
                return seen
            query = path.partition("?")[0] + changelist.next_query
        raise AssertionError("The pages have no end.")


@pytest.fixture
def admin(tracker_admin: Any) -> Browser:
    return Browser(tracker_admin)


@pytest.fixture
def scoped(manager: Any, project: Any) -> Browser:
    """A manager with every role in `project`, and in no other."""
    set_roles(manager=manager, project=project, roles=ALL_ROLES)
    return Browser(manager)


@pytest.fixture
def foreign(db: None) -> Any:
    """A public project in which nobody was given a role."""
    return ProjectFactory(name="a foreign project")


@pytest.fixture
def with_roles(manager: Any, project: Any) -> Callable[[Role], Browser]:
    def sign_in(roles: Role) -> Browser:
        set_roles(manager=manager, project=project, roles=roles)
        return Browser(manager)

    return sign_in


__all__ = ["LISTS", "Browser", "TaskFactory", "UserFactory", "WorkerAccess"]
