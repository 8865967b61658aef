import pytest
from django.test import Client

from projects.access import set_roles


@pytest.fixture
def visitor(db):
    """A browser with nobody signed in."""
    return Client()


@pytest.fixture
def browser(db):
    """Makes browsers in which a manager is signed in, if wanted with roles in a project."""

    def sign_in(user, project=None, roles=None):
        if roles is not None:
            set_roles(manager=user, project=project, roles=roles)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def admin(browser, tracker_admin):
    return browser(tracker_admin)
