"""What reaches those who may not see a hidden project: nothing that tells it from one that doesn't exist."""

import hmac

import orjson
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from projects.access import set_roles
from projects.models import Project
from projects.roles import ALL_ROLES, Role
from tests.client import Api
from tests.factories import ProjectFactory, TaskFactory, UserFactory, grant
from tests.projects.test_webhooks import GITHUB, HOSTS, SECRET, URL, github
from tests.webui.admin.conftest import Browser
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db

# --- chain ---


@pytest.fixture
def hidden():
    return ProjectFactory(secluded=True, name="top secret")


@pytest.fixture
def first(hidden):
    """A public project whose closed tasks go on to the hidden one."""
    return ProjectFactory(name="first", chain=hidden)


def chains(api, project):
    """What the calls say of the project's chain."""
    one = api.get(f"/project/get/{project.pk}").content
    (listed,) = [other for other in api.get("/project/list").content["projects"] if other["id"] == project.pk]
    return {one["chain"], one["project"]["chain"], listed["chain"]}


def test_chain_reads_0(api, first, hidden, manager, tracker_admin):
    assert chains(api, first) == {0}
    set_roles(manager=manager, project=first, roles=ALL_ROLES)
    as_manager = Api().login(manager)
    assert chains(as_manager, first) == {0}
    set_roles(manager=manager, project=hidden, roles=ALL_ROLES ^ Role.READ)
    assert chains(as_manager, first) == {0}
    set_roles(manager=manager, project=hidden, roles=Role.READ)
    assert chains(as_manager, first) == {hidden.pk}
    assert chains(Api().login(tracker_admin), first) == {hidden.pk}


@pytest.mark.parametrize(
    ("granted", "sees"), [(None, False), ({}, False), ({"assign": True}, True), ({"submit": True}, True)]
)
@pytest.mark.parametrize("call", ["get", "get any", "exchange"])
def test_chain_reads_0_for_workers(both_doors, first, hidden, worker, granted, sees, call):
    TaskFactory(project=first)
    if granted is not None:
        grant(worker, hidden, **granted)
    if call == "exchange":
        answer = both_doors.post("/task/exchange", {"project": first.pk, "count": 1, "releases": []}, worker=worker)
        task = answer.content["tasks"][0]
    else:
        path = "/task/get" if call == "get any" else f"/task/get/{first.pk}"
        task = both_doors.get(path, worker=worker).content["task"]
    assert task["project"]["id"] == first.pk
    assert task["project"]["chain"] == (hidden.pk if sees else 0)


def test_another_workers_grant_does_not_show_the_chain(api, first, hidden, worker, other_worker):
    TaskFactory(project=first)
    grant(other_worker, hidden, assign=True)
    assert api.get(f"/task/get/{first.pk}", worker=worker).content["task"]["project"]["chain"] == 0


def test_sending_back_what_was_read_leaves_the_chain(first, hidden, manager):
    set_roles(manager=manager, project=first, roles=ALL_ROLES)
    api = Api().login(manager)
    read = api.get(f"/project/get/{first.pk}").content["project"]
    assert api.post(f"/project/update/{first.pk}", read | {"motd": "new"}).ok
    stored = Project.objects.get(pk=first.pk)
    assert (stored.chain, stored.motd) == (hidden, "new")
    # Who sees it may clear it, and everybody with EDIT may replace it.
    mine = ProjectFactory()
    set_roles(manager=manager, project=mine, roles=ALL_ROLES)
    assert api.post(f"/project/update/{first.pk}", {"chain": mine.pk}).ok
    assert Project.objects.get(pk=first.pk).chain == mine
    assert api.post(f"/project/update/{first.pk}", {"chain": 0}).ok
    assert Project.objects.get(pk=first.pk).chain is None


@pytest.mark.parametrize("roles", [ALL_ROLES, Role.READ])
def test_the_pages_and_the_admin_do_not_name_it(first, hidden, manager, roles):
    Project.objects.filter(pk=hidden.pk).update(id=918_273_645)
    Project.objects.filter(pk=first.pk).update(chain_id=918_273_645)
    set_roles(manager=manager, project=first, roles=roles)
    client = Client()
    client.force_login(manager)
    for path in ("", "edit/", "start/", "permissions/"):
        assert b"918273645" not in client.get(f"/projects/{first.pk}/{path}").content
    assert "918273645" not in Browser(manager).get(f"projects/project/{first.pk}/change/")
    set_roles(manager=manager, project=Project.objects.get(name="top secret"), roles=Role.READ)
    assert b"918273645" in client.get(f"/projects/{first.pk}/").content
    assert "918273645" in Browser(manager).get(f"projects/project/{first.pk}/change/")


@pytest.mark.parametrize("where", ["/projects/{}/edit/", "/admin/projects/project/{}/change/"])
def test_saving_a_form_leaves_the_chain(first, hidden, manager, where):
    set_roles(manager=manager, project=first, roles=ALL_ROLES)
    client = Client()
    client.force_login(manager)
    page = client.get(where.format(first.pk))
    form = page.context["adminform"].form if "admin" in where else page.context["form"]
    sent = {}
    for bound in form:
        value = bound.value()
        if value is not None and value is not False:
            sent[bound.html_name] = sent[bound.html_initial_name] = value
    response = client.post(where.format(first.pk), sent | {"motd": "new"})
    assert response.status_code == 302, response.context["form"].errors
    stored = Project.objects.get(pk=first.pk)
    assert (stored.chain, stored.motd) == (hidden, "new")


# --- Webhooks ---


def deliver(repository, headers, *, payload=GITHUB):
    """Sends a push for this repository; returns the response and what was done for it."""
    kind = "project" if "project" in payload else "repository"
    key = "path_with_namespace" if kind == "project" else "full_name"
    raw = orjson.dumps(payload | {kind: payload[kind] | {key: repository}})
    sent = headers(raw) if callable(headers) else headers
    with CaptureQueriesContext(connection) as queries:
        response = Client().generic("POST", URL, raw, content_type="application/json", headers=sent)
    return response, [query["sql"].replace(repository, "R") for query in queries]


@pytest.fixture
def hashed(monkeypatch):
    """The number of bodies that were hashed with a key, and of tokens that were compared."""
    counted = []
    for name in ("new", "compare_digest"):
        real = getattr(hmac, name)

        def count(*args, real=real, name=name, **kwargs):
            counted.append((name, len(args[1])))
            return real(*args, **kwargs)

        monkeypatch.setattr(f"projects.webhooks.hmac.{name}", count)
    return counted


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("secret", ["another", ""])
@pytest.mark.parametrize("host", HOSTS)
def test_a_webhook_does_not_tell_a_hidden_project_from_none(number, secret, host, hashed):
    ProjectFactory.create_batch(number, secluded=True, git_repo="acme/hidden", webhook_secret=secret or SECRET)
    if not secret:
        Project.objects.update(webhook_secret="")
    payload, headers = HOSTS[host]
    answers = []
    for repository in ("acme/hidden", "acme/nobody"):
        hashed.clear()
        response, queries = deliver(repository, headers, payload=payload)
        answers.append((response.status_code, response.content, dict(response.headers), queries, list(hashed)))
    assert answers[0][:3] == answers[1][:3]
    assert answers[0][3] == answers[1][3]
    assert len(answers[0][4]) == len(answers[1][4]) > 0
    assert answers[0][0] == 400
    assert "acme" not in answers[0][1].decode()


@pytest.mark.parametrize("headers", [{}, {"X-Hub-Signature-256": "sha256=00"}, {"X-Gitlab-Token": "x"}])
def test_nor_does_a_bad_signature(headers):
    ProjectFactory(secluded=True, git_repo="acme/hidden", webhook_secret=SECRET)
    there, nowhere = (deliver(repository, headers)[0] for repository in ("acme/hidden", "acme/nobody"))
    assert (there.status_code, there.content) == (nowhere.status_code, nowhere.content)


def test_a_hidden_project_receives_what_is_signed():
    ProjectFactory(secluded=True, git_repo="acme/hidden", webhook_secret=SECRET)
    response, _ = deliver("acme/hidden", github)
    assert response.json()["content"] == {"updated_projects": 1}


def test_a_hidden_project_beside_a_visible_one_of_the_same_repository():
    """That there is a project is known, then."""
    ProjectFactory(secluded=True, git_repo="acme/both", webhook_secret="another")
    visible = ProjectFactory(git_repo="acme/both", webhook_secret="third")
    assert deliver("acme/both", github)[0].status_code == 403
    visible.delete()
    assert deliver("acme/both", github)[0].status_code == 400


# --- Asking for access ---


@pytest.mark.parametrize("wishes", [{"assign": True}, {"submit": True}, {"assign": True, "submit": True}])
def test_asking_does_the_same_for_a_hidden_project_and_for_none(worker, hidden, wishes):
    nowhere = ProjectFactory().pk
    Project.objects.filter(pk=nowhere).delete()
    for _again in range(2):
        done = []
        for project in (hidden.pk, nowhere):
            with CaptureQueriesContext(connection) as queries:
                answer = Api().post("/project/request_access", {"project": project} | wishes, worker=worker)
            statements = [
                query["sql"].replace(f" {project} ", " P ").replace(f"= {project}", "= P") for query in queries
            ]
            done.append((answer.status, answer.json, statements))
        assert done[0] == done[1]
    assert WorkerAccess.objects.get().project == hidden


def test_a_name_that_is_taken_is_visible_to_everybody(hidden):
    """As the docs say: names are unique."""
    api = Api().login(UserFactory())
    assert api.post("/project/create", {"name": "top secret"}).status == 409
