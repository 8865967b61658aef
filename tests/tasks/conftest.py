import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from projects.models import Project
from tests.client import Api
from tests.factories import grant, register
from workers.services import Registration


@pytest.fixture
def api(both_doors: Api) -> Api:
    return both_doors


@pytest.fixture
def manage() -> Callable[..., str]:
    """Runs a command and returns what it prints."""

    def run(*arguments: object) -> str:
        output = io.StringIO()
        call_command(*map(str, arguments), stdout=output)
        return output.getvalue()

    return run


@pytest.fixture
def owner(project: Project) -> Registration:
    """A worker with SUBMIT."""
    registration = register("owner")
    grant(registration, project, submit=True)
    return registration


@pytest.fixture
def cancel(api: Api, owner: Registration) -> Callable[..., Any]:
    """Cancels, by default as a worker with SUBMIT; returns the content."""

    def run(worker: Registration = owner, **body: object) -> Any:
        answer = api.post("/task/cancel", body, worker=worker)
        assert answer.ok, answer
        return answer.content

    return run
