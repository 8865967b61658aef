"""Fixtures for all tests: workers, managers, a project, concurrent calls."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from django.core.cache import cache
from django.db import connections
from django.utils import translation

from accounts.models import User
from projects.models import Project
from tests.client import Api, LoopApi
from tests.factories import ProjectFactory, UserFactory, grant, register
from tests.processes import PATIENCE_SECONDS
from workers.services import Registration

Outcome = TypeVar("Outcome")


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """The real hasher takes a quarter of a second by design."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A page in French leaves its language active in this thread."""
    yield
    translation.deactivate()


@pytest.fixture
def api() -> Api:
    """An API client that is not logged in; workers identify themselves in each call."""
    return Api()


@pytest.fixture(params=["django", "loop"])
def both_doors(request: pytest.FixtureRequest) -> Api:
    """For `api`: a call is answered alike by Django and by the event loop."""
    return Api() if request.param == "django" else LoopApi()


@pytest.fixture
def project(db: None) -> Project:
    """A public project."""
    return ProjectFactory()


@pytest.fixture
def worker(db: None) -> Registration:
    """A worker without access grants."""
    return register("worker")


@pytest.fixture
def other_worker(db: None) -> Registration:
    return register("other")


@pytest.fixture
def submitter(project: Project) -> Registration:
    """A worker with SUBMIT on `project`."""
    registration = register("submitter")
    grant(registration, project, submit=True)
    return registration


@pytest.fixture
def manager(db: None) -> User:
    """A manager without any role."""
    return UserFactory()


@pytest.fixture
def tracker_admin(db: None) -> User:
    return UserFactory(is_superuser=True)


@pytest.fixture
def counters(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the request counters and stop their clock, so that no window ends in the middle of a test."""
    cache.clear()
    moment = time.time()
    monkeypatch.setattr("django_ratelimit.core.time", SimpleNamespace(time=lambda: moment))


def at_once(calls: list[Callable[[], Outcome]]) -> list[Outcome | Exception]:
    """Run each call in a thread with its own database connection, all starting at the same moment.

    Returns what each call returned or raised, in order. For tests marked django_db(transaction=True).
    """
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Outcome]) -> Outcome | Exception:
        try:
            connections["default"].ensure_connection()
            start.wait(PATIENCE_SECONDS)
            return call()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.fixture
def racing() -> Callable[[list[Callable[[], Any]]], list[Any]]:
    return at_once
