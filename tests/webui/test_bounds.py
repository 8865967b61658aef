"""Pages and forms stay bounded however many projects, workers and managers there are."""

import pytest
from django.test import Client

from projects.access import set_roles
from projects.models import Project
from projects.roles import ALL_ROLES
from tests.factories import ProjectFactory, UserFactory, grant, register
from webui.admin import base, cells, filters, managers, workers
from webui.pages.forms import projects as forms
from workers.models import Worker

pytestmark = pytest.mark.django_db

FORMS = ("/projects/{}/edit/", "/admin/projects/project/{}/change/")
FILTERED = (
    "/admin/tasks/task/",
    "/admin/tasks/closedtask/",
    "/admin/projects/snapshot/",
    "/admin/workers/workeraccess/",
)


@pytest.fixture
def projects(db):
    return [ProjectFactory(name=f"project {number}") for number in range(6)]


@pytest.fixture
def client(tracker_admin):
    client = Client()
    client.force_login(tracker_admin)
    return client


@pytest.fixture
def few(monkeypatch):
    """Bounds that the projects exceed."""
    for module in (forms, filters):
        monkeypatch.setattr(module, "MOST_CHOICES", 4)
    for module in (base, cells, managers, workers):
        monkeypatch.setattr(module, "LISTED", 4)


def form_of(page):
    return page.context["adminform"].form if "adminform" in page.context else page.context["form"]


def field_of(page):
    return form_of(page)["chain"]


@pytest.mark.parametrize("address", FORMS)
def test_many_projects_are_chosen_by_id(client, projects, few, address):
    edited, wanted = projects[0], projects[5]
    field = field_of(client.get(address.format(edited.pk)))
    assert field.field.widget.input_type == "number"
    assert wanted.name not in str(field)
    assert "enter the id" in field.help_text
    fields = [field for field in form_of(client.get(address.format(edited.pk))) if field.value() not in (None, "")]
    sent = {field.html_name: field.value() for field in fields if field.value() is not False}
    sent |= {field.html_initial_name: field.value() for field in fields}
    for entered, stored in (("999999", None), ("x", None), (str(wanted.pk), wanted.pk)):
        answer = client.post(address.format(edited.pk), sent | {"chain": entered})
        assert (answer.status_code == 302) == (stored is not None)
        assert Project.objects.get(pk=edited.pk).chain_id == stored
    assert str(wanted.pk) in str(field_of(client.get(address.format(edited.pk))))


@pytest.mark.parametrize("address", FORMS)
def test_few_projects_are_a_list(client, projects, address):
    field = field_of(client.get(address.format(projects[0].pk)))
    assert all(project.name in str(field) for project in projects[1:])
    assert "enter the id" not in field.help_text


@pytest.mark.parametrize("address", FILTERED)
def test_filter_by_project(client, projects, few, address):
    page = client.get(address)
    (shown,) = [one for one in page.context["cl"].filter_specs if one.parameter_name == "project"]
    assert [name for _pk, name in shown.lookup_choices] == [project.name for project in projects[:4]]
    assert "the first 4" in page.content.decode()
    page = client.get(address, {"project": projects[5].pk})
    (shown,) = [one for one in page.context["cl"].filter_specs if one.parameter_name == "project"]
    assert (str(projects[5].pk), projects[5].name) in shown.lookup_choices


def test_confirmation_lists_a_few(client, projects, few):
    sent = {"action": "pause", "_selected_action": [project.pk for project in projects]}
    page = client.post("/admin/projects/project/", sent)
    assert len(page.context["rows"]) == 4
    assert "Only the first 4 are listed." in page.content.decode()
    client.post("/admin/projects/project/", sent | {"confirmed": "yes"})
    assert not Project.objects.filter(paused=False).exists()


def test_the_leases_of_many_workers_are_not_counted(client, project, few, monkeypatch):
    asked = []
    plain = workers.activity
    monkeypatch.setattr(workers, "activity", lambda ids, *rest: asked.append(len(ids)) or plain(ids, *rest))
    chosen = [register(f"worker {number}").worker.pk for number in range(6)]
    for number, told in ((6, "6 workers"), (4, "4 workers, 0 leased tasks")):
        sent = {"action": "pause", "_selected_action": chosen[:number]}
        page = client.post("/admin/workers/worker/", sent)
        assert page.context["touches"] == told
        assert asked.pop() <= 5
        client.post("/admin/workers/worker/", sent | {"confirmed": "yes"})
        assert Worker.objects.filter(paused=True).count() == 6


def test_tables_on_pages_list_a_few(client, projects, few, worker):
    other = UserFactory()
    for project in projects:
        grant(worker, project, assign=True)
        set_roles(manager=other, project=project, roles=ALL_ROLES)
    for address in (f"/admin/accounts/user/{other.pk}/change/", f"/admin/workers/worker/{worker.worker.pk}/change/"):
        page = client.get(address).content.decode()
        assert page.count("<td>project ") == 4
        assert "Only the first 4 are listed." in page


def test_short_tables_say_nothing(client, projects, worker):
    grant(worker, projects[0], assign=True)
    page = client.get(f"/admin/workers/worker/{worker.worker.pk}/change/").content.decode()
    assert page.count("<td>project ") == 1
    assert "Only the first" not in page
