"""/workers/ and /managers/: search, filters and order."""

import re
from html import unescape

import pytest

from tests.factories import UserFactory, register
from webui.pages import workers

pytestmark = pytest.mark.django_db


def aliases(visitor, **query):
    return [one.alias for one in visitor.get("/workers/", query).context["page"]]


def managers(client, **query):
    return [one.username for one in client.get("/managers/", query).context["page"]]


@pytest.fixture
def three(db):
    return [register(alias, paused=alias == "beta") for alias in ("Gamma", "beta", "alpha")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sort": "alias"}, ["alpha", "beta", "Gamma"]),
        ({"sort": "newest"}, ["alpha", "beta", "Gamma"]),
        ({"sort": "newest", "state": "active"}, ["alpha", "Gamma"]),
        ({"state": "paused"}, ["beta"]),
        ({"state": "paused", "q": "alpha"}, []),
        ({"q": "gAMM"}, ["Gamma"]),
    ],
)
def test_workers(visitor, three, query, expected):
    assert aliases(visitor, **query) == expected


def test_unknown_values_mean_all_workers(visitor, three):
    assert set(aliases(visitor, sort="x", state="y", page="z")) == {"alpha", "beta", "Gamma"}


def test_no_worker_in_a_state(visitor, worker):
    assert "There is no such worker" in visitor.get("/workers/", {"state": "paused"}).content.decode()


def test_pages_of_workers_keep_the_filters(visitor, three, monkeypatch):
    monkeypatch.setattr(workers, "WORKERS_PER_PAGE", 1)
    page = visitor.get("/workers/", {"sort": "alias", "state": "active", "q": "a"}).content.decode()
    following = re.search(r'<a href="([^"]+)" rel="next">', page)
    assert [one.alias for one in visitor.get("/workers/" + unescape(following[1])).context["page"]] == ["Gamma"]


def test_managers(admin, tracker_admin):
    for username in ("zoe", "René", "ann"):
        UserFactory(username=username)
    ada = tracker_admin.username
    assert managers(admin)[0] == ada
    assert managers(admin, sort="name") == sorted(managers(admin))
    assert managers(admin, sort="newest")[:3] == ["ann", "René", "zoe"]
    assert managers(admin, q="RENÉ") == ["René"]
    assert managers(admin, q="nobody") == []
    assert "No manager is called" in admin.get("/managers/", {"q": "nobody"}).content.decode()
