"""/projects/7/permissions/decide/: many access requests at once."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from projects.models import Project
from projects.roles import Role
from tests.factories import ProjectFactory, register
from webui.pages import requests
from workers import services
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db


@pytest.fixture
def private():
    return ProjectFactory(private=True)


@pytest.fixture
def client(browser, manager, private):
    return browser(manager, private, Role.MANAGE_ACCESS)


@pytest.fixture
def asking(private):
    """Workers that ask for access to the project."""

    def asking(*names, submit=False, project=private):
        workers = [register(name).worker for name in names]
        for worker in workers:
            services.request_access(worker=worker, project_id=project.pk, assign=True, submit=submit)
        return workers

    return asking


def url(project):
    return f"/projects/{project.pk}/permissions/decide/"


def confirmed(client, project, **posted):
    """Confirm what the confirmation page asks; returns what the manager is told."""
    page = client.post(url(project), posted)
    assert page.status_code == 200
    repeated = posted | {"until": page.context["until"], "confirmed": "yes"}
    answer = client.post(url(project), repeated, follow=True)
    return [str(message) for message in answer.context["messages"]]


def having(column, project):
    return set(WorkerAccess.objects.filter(project=project, **{column: True}).values_list("worker__alias", flat=True))


def test_it_works(client, private, asking, api):
    workers = asking("one", "two", "three")
    chosen = [worker.pk for worker in workers[:2]]
    page = client.post(url(private), {"do": "accept", "worker": chosen})
    assert "2 requests are approved." in page.content.decode()
    assert [access.worker.alias for access in page.context["requests"]] == ["one", "two"]
    # Nothing happens before it is confirmed.
    assert having("assign", private) == set()
    assert confirmed(client, private, do="accept", worker=chosen) == ["2 requests were approved."]
    assert having("assign", private) == {"one", "two"}
    assert having("wants_assign", private) == {"three"}


def test_reject(client, private, asking):
    workers = asking("one", "two", "three")
    services.grant_access(worker=workers[1], project=private, assign=True, submit=False)
    services.request_access(worker=workers[1], project_id=private.pk, assign=False, submit=True)
    chosen = [worker.pk for worker in workers[:2]]
    page = client.post(url(private), {"do": "reject", "worker": chosen}).content.decode()
    assert "2 requests are rejected." in page
    assert "1 worker has access already and loses it." in page
    assert confirmed(client, private, do="reject", worker=chosen) == ["2 requests were rejected."]
    assert list(WorkerAccess.objects.values_list("worker__alias", flat=True)) == ["three"]


def test_says_how_many_may_then_submit(client, private, asking):
    asking("one")
    asking("two", "three", submit=True)
    page = client.post(url(private), {"do": "accept", "all": "yes"}).content.decode()
    assert "3 requests are approved. 2 workers may then submit tasks, too." in page
    confirmed(client, private, do="accept", all="yes")
    assert having("submit", private) == {"two", "three"}


def test_all_of_more_than_a_page(client, private, asking, monkeypatch):
    monkeypatch.setattr(requests, "LISTED", 3)
    asking(*(f"w{n}" for n in range(10)))
    page = client.post(url(private), {"do": "accept", "all": "yes"})
    assert len(page.context["requests"]) == 3
    assert "and 7 more" in page.content.decode()
    assert confirmed(client, private, do="accept", all="yes") == ["10 requests were approved."]
    assert len(having("assign", private)) == 10


def test_all_that_match(client, private, asking):
    one, *_ = asking("lab-1", "lab-2", "attic")
    page = client.get(f"/projects/{private.pk}/permissions/", {"q": "LAB"})
    assert [access.worker.alias for access in page.context["pending"]] == ["lab-1", "lab-2"]
    assert "All 2 that match" in page.content.decode()
    assert confirmed(client, private, do="accept", all="yes", q="LAB") == ["2 requests were approved."]
    assert having("wants_assign", private) == {"attic"}
    assert client.get(f"/projects/{private.pk}/permissions/", {"q": one.pk}).context["pending_count"] == 0


@pytest.mark.parametrize("posted", [{"all": "yes"}, {"worker": "those"}])
def test_what_was_asked_since_is_left(client, private, asking, posted):
    """Nobody has seen it: neither a new request, nor one for more."""
    first, second = asking("first", "second")
    ids = [first.pk, second.pk]
    posted = {"do": "accept", **posted} | ({"worker": ids} if "worker" in posted else {})
    until = client.post(url(private), posted).context["until"]
    asking("third")
    services.request_access(worker=second, project_id=private.pk, assign=False, submit=True)
    WorkerAccess.objects.exclude(worker=first).update(asked=Now() + timedelta(seconds=1))
    client.post(url(private), posted | {"until": until, "confirmed": "yes"})
    assert having("assign", private) == {"first"}
    assert having("submit", private) == set()
    assert having("wants_assign", private) == {"second", "third"}


def test_only_in_this_project(client, private, asking):
    other = ProjectFactory(private=True)
    (mine,) = asking("mine")
    (foreign,) = asking("foreign", project=other)
    assert confirmed(client, private, do="accept", worker=[mine.pk, foreign.pk]) == ["1 request was approved."]
    assert having("assign", other) == set()
    confirmed(client, private, do="reject", all="yes")
    assert having("wants_assign", other) == {"foreign"}


def test_granted_access_is_not_touched(client, private, asking):
    """Only requests are decided here, whatever ids are sent."""
    (worker,) = asking("one")
    services.accept_request(project=private, worker_id=worker.pk)
    page = client.post(url(private), {"do": "reject", "worker": worker.pk})
    assert "have been decided already" in page.content.decode()
    assert confirmed(client, private, do="reject", worker=worker.pk) == ["0 requests were rejected."]
    assert having("assign", private) == {"one"}


def test_nothing_selected(client, private, asking):
    asking("one")
    answer = client.post(url(private), {"do": "accept", "q": "o"}, follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["Nothing was changed: select requests first."]
    assert answer.redirect_chain == [(f"/projects/{private.pk}/permissions/?q=o", 302)]
    assert having("assign", private) == set()


@pytest.mark.parametrize(
    "posted",
    [
        {"all": "yes"},
        {"do": "delete", "all": "yes"},
        {"do": "accept", "all": "yes", "confirmed": "yes", "until": "soon"},
        {"do": "accept", "all": "yes", "confirmed": "yes", "until": "2026-13-01T00:00:00+00:00"},
        {"do": "accept", "all": "yes", "confirmed": "yes", "until": "2026-01-01T00:00:00"},
    ],
)
def test_forged_forms(client, private, asking, posted):
    asking("one")
    assert client.post(url(private), posted).status_code == 400
    assert having("assign", private) == set()


@pytest.mark.parametrize("worker", ["x", "-1", "", "9" * 30, "\0"])
def test_ids_that_are_none(client, private, asking, worker):
    asking("one")
    client.post(url(private), {"do": "accept", "worker": worker, "confirmed": "yes"})
    assert having("assign", private) == set()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.MANAGE_ACCESS])
def test_takes_manage_access(browser, manager, private, asking, role):
    (worker,) = asking("one")
    answer = browser(manager, private, role).post(
        url(private), {"do": "accept", "worker": worker.pk, "confirmed": "yes", "until": "2100-01-01T00:00:00Z"}
    )
    assert answer.status_code in (403, 404)
    assert having("assign", private) == set()
    assert Project.objects.count() == 1
