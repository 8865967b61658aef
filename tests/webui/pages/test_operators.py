"""Marking workers as one operator's on the tab Workers, and where the mark is shown."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.access import set_roles
from projects.roles import Role
from tasks import queue
from tests.factories import ProjectFactory, TaskFactory, UserFactory, grant
from workers.models import OperatorMark
from workers.services import mark_operator

pytestmark = pytest.mark.django_db


@pytest.fixture
def maintainer(browser, manager, project):
    return browser(manager, project, Role.MAINTENANCE)


@pytest.fixture
def busy(project, worker, other_worker):
    """Both workers have closed a task."""
    for one in (worker, other_worker):
        TaskFactory(project=project)
        task = queue.lease(project=project, worker=one.worker)
        queue.release(worker=one.worker, task_id=task.id, result=queue.Result.OK, verification=0)
    return [worker.worker, other_worker.worker]


def text(response):
    return " ".join(response.content.decode().split())


def told(response):
    return [str(message) for message in response.context["messages"]]


def send(client, project, **fields):
    return client.post(f"/projects/{project.pk}/workers/operator/", fields, follow=True)


def marks():
    return dict(OperatorMark.objects.values_list("worker", "operator"))


def test_mark_and_remove(maintainer, project, busy):
    one, two = busy
    shown = f"?period=all&sort=seen&after={two.pk}&x=y"
    page = send(maintainer, project, worker=[one.pk, two.pk], operator=" <Ada> ", shown=shown)
    assert told(page) == ["2 workers were marked."]
    assert page.redirect_chain[-1][0] == f"/projects/{project.pk}/workers/?period=all&sort=seen&after={two.pk}"
    assert marks() == {one.pk: "<Ada>", two.pk: "<Ada>"}
    shown = text(maintainer.get(f"/projects/{project.pk}/workers/"))
    assert shown.count("<bdi>&lt;Ada&gt;</bdi>") == 2
    assert '<option value="&lt;Ada&gt;">' in shown
    page = send(maintainer, project, worker=[one.pk], operator="ignored", remove="yes")
    assert told(page) == ["1 worker has no operator any more."]
    assert page.redirect_chain[-1][0] == f"/projects/{project.pk}/workers/"
    assert marks() == {two.pk: "<Ada>"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"operator": "Ada"}, "select workers first"),
        ({"operator": "Ada", "worker": ["x", "-1"]}, "select workers first"),
        ({"operator": " \0", "worker": "W"}, "what you call the operator"),
        ({"worker": "W"}, "what you call the operator"),
        ({"operator": "x" * 101, "worker": "W"}, "more than 100 characters"),
        ({"operator": "Ada", "worker": "999999"}, "there is no worker 999999"),
        ({"remove": "yes"}, "select workers first"),
    ],
)
def test_nothing_is_changed(maintainer, project, busy, fields, problem):
    fields = {name: busy[0].pk if value == "W" else value for name, value in fields.items()}
    assert problem in told(send(maintainer, project, **fields))[0]
    assert marks() == {}


def test_others_see_the_mark_only_with_a_role(browser, project, busy):
    mark_operator(project=project, workers=[busy[0].pk], operator="Ada")
    manager = UserFactory()
    client = browser(manager)
    paths = (f"/projects/{project.pk}/workers/", f"/workers/{busy[0].pk}/")
    assert ["Ada" in text(client.get(path)) for path in paths] == [False, False]
    set_roles(manager=manager, project=project, roles=Role.READ)
    shown = [text(client.get(path)) for path in paths]
    assert ["<bdi>Ada</bdi>" in one for one in shown] == [True, True]
    assert "Remove the mark" not in shown[0]
    assert 'type="checkbox"' not in shown[0]


def test_the_marks_of_other_projects_are_not_shown(browser, project, busy):
    mark_operator(project=ProjectFactory(), workers=[busy[0].pk], operator="Ada")
    client = browser(UserFactory(), project, Role.READ)
    assert "Ada" not in text(client.get(f"/projects/{project.pk}/workers/"))
    assert "Ada" not in text(client.get(f"/workers/{busy[0].pk}/"))


def test_in_a_project_that_is_hidden_from_the_manager(browser, busy):
    hidden = ProjectFactory(secluded=True)
    client = browser(UserFactory(), hidden, Role.MAINTENANCE)
    page = send(client, hidden, worker=[busy[0].pk], operator="Ada")
    assert page.status_code == 200
    assert marks() == {busy[0].pk: "Ada"}


def test_in_the_admin(admin, project, worker, busy):
    grant(worker, project, assign=True)
    mark_operator(project=project, workers=[busy[0].pk], operator="<Ada>")
    shown = text(admin.get(f"/admin/workers/worker/{busy[0].pk}/change/"))
    assert shown.count("<bdi>&lt;Ada&gt;</bdi>") == 3


@pytest.mark.parametrize("path", ["/projects/{project}/workers/", "/workers/{worker}/", "/tasks/{task}/"])
def test_the_number_of_queries_does_not_grow_with_the_marks(admin, project, busy, path, django_assert_max_num_queries):
    one, two = busy
    task = TaskFactory(project=project, voters=[one.pk, two.pk], votes=[7, 8], verification_count=3)
    address = path.format(project=project.pk, worker=one.pk, task=task.pk)
    mark_operator(project=project, workers=[one.pk], operator="Ada")
    with CaptureQueriesContext(connection) as few:
        admin.get(address)
    mark_operator(project=project, workers=[two.pk], operator="Bob")
    mark_operator(project=ProjectFactory(), workers=[one.pk], operator="Bob")
    with django_assert_max_num_queries(len(few)):
        admin.get(address)
