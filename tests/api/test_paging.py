"""Lists over the API come in pages, which hold everything at ordinary sizes."""

import re

import pytest

from accounts.models import User
from projects.access import set_roles
from projects.models import Project
from projects.roles import Role
from tasks.models import ClosedTotal
from tests.client import Api
from tests.factories import ProjectFactory, UserFactory, grant, register
from webui.admin import projects as projects_admin
from webui.pages import managers as managers_page
from webui.pages import permissions as permissions_page
from webui.pages import workers as workers_page

pytestmark = pytest.mark.django_db

LISTS = {
    "/project/list": "projects",
    "/worker/stats": "stats",
    "/manager/list": "managers",
    "/manager/list_for_project/P": "managers",
    "/project/access_list/P": "accesses",
}


@pytest.fixture
def admin(tracker_admin):
    return Api().login(tracker_admin)


@pytest.fixture
def project(db, tracker_admin):
    """A project, and five of each thing that there are lists of."""
    project = ProjectFactory(name="middle")
    for number in range(4):
        ProjectFactory(name=f"project {number}")
    workers = [register(f"worker {number}") for number in range(5)]
    for number, worker in enumerate(workers):
        access = grant(worker, project, assign=number != 2)
        if number in (2, 4):
            access.wants_submit = True
            access.save()
    for worker, count in ((workers[3], 7), (workers[1], 7), (workers[4], 9)):
        ClosedTotal.objects.create(project=project, worker=worker.worker, count=count)
    for user in [tracker_admin, *UserFactory.create_batch(4)]:
        set_roles(manager=user, project=project, roles=Role.READ)
    return project


def entry(one):
    """The id of an entry."""
    return one.get("id") or one.get("worker", one.get("manager"))["id"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_it_works(admin, project, path, limit):
    url, key = path.replace("P", str(project.pk)), LISTS[path]
    whole = admin.get(url).content
    assert set(whole) == {key}
    assert len(whole[key]) == 5
    found, query = [], f"?limit={limit}"
    while query:
        content = admin.get(url + query).content
        assert 0 < len(content[key]) <= limit
        found += content[key]
        query = f"?limit={limit}&after={content['after']}" if "after" in content else ""
    assert found == whole[key]


@pytest.mark.parametrize("path", LISTS)
def test_no_more_is_read_than_a_page(admin, project, path, django_assert_max_num_queries):
    with django_assert_max_num_queries(20) as queries:
        assert admin.get(f"{path.replace('P', str(project.pk))}?limit=3").status == 200
    # The other ordered ones ask for the manager's own roles, of which there are five.
    ordered = [query["sql"].strip() for query in queries if "ORDER BY" in query["sql"]]
    of_the_list = [sql for sql in ordered if not sql.startswith('SELECT "auth_permission"')]
    assert of_the_list
    assert all(re.search(r"LIMIT \d$", sql) for sql in of_the_list)


@pytest.mark.parametrize("path", LISTS)
def test_bad_pages(admin, project, path):
    url = path.replace("P", str(project.pk))
    for query in ("limit=0", "limit=10001", "limit=x", "after=0", "after=x", "after=999999999", f"after={2**63 - 1}"):
        answer = admin.get(f"{url}?{query}")
        assert (answer.status, answer.message.partition(":")[0]) == (400, query.partition("=")[0]), query


def test_long_projects_come_a_few_at_a_time(api, settings):
    """Also those with a message of the day from before there was a limit."""
    settings.MAX_BATCH_BYTES = 10_000
    for number in range(5):
        ProjectFactory(name=str(number), motd="x" * 4_000)
    Project.objects.filter(name="3").update(motd="x" * 100_000)
    sizes, query = [], ""
    while query is not None:
        content = api.get(f"/project/list{query}").content
        sizes.append([project["name"] for project in content["projects"]])
        query = f"?after={content['after']}" if "after" in content else None
    assert sizes == [["0", "1"], ["2"], ["3"], ["4"]]


def test_a_hidden_project_is_no_place(api):
    hidden = ProjectFactory(secluded=True)
    assert api.get(f"/project/list?after={hidden.pk}").status == 400


def test_no_page_shows_more(client, tracker_admin, project, monkeypatch):
    monkeypatch.setattr(managers_page, "MANAGERS_PER_PAGE", 2)
    monkeypatch.setattr(workers_page, "MOST_WORKERS", 3)
    monkeypatch.setattr(permissions_page, "MANAGERS_PER_PAGE", 2)
    monkeypatch.setattr(projects_admin, "LISTED", 4)
    client.force_login(tracker_admin)
    assert len(client.get("/managers/").context["page"]) == 2
    names = {str(one) for number in (1, 2, 3) for one in client.get(f"/managers/?page={number}").context["page"]}
    assert names == set(User.objects.values_list("username", flat=True))
    pages = [client.get(f"/projects/{project.pk}/permissions/?managers={number}") for number in (1, 2, 3)]
    assert [len(page.context["managers"]) for page in pages] == [2, 2, 1]
    assert 'href="?managers=2"' in pages[0].content.decode()
    page = client.get(f"/admin/projects/project/{project.pk}/change/")
    assert len(page.context["managers"]) == 4
    assert "Only the first 4 are listed" in page.content.decode()
    page = client.get("/workers/")
    assert [one.alias for one in page.context["page"]] == ["worker 4", "worker 1", "worker 3"]
    assert "Only the 3 with the most closed tasks" in page.content.decode()
    page = client.get("/workers/?q=Worker 2")
    assert [one.alias for one in page.context["page"]] == ["worker 2"]
    assert "Only the" not in page.content.decode()
