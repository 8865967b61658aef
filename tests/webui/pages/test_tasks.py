"""A project's maintenance and console, and /workers/."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from projects.roles import Role
from tasks import queue
from tasks.models import ClosedTotal, Task
from tasks.serializers import hash_of
from tests.factories import ProjectFactory, TaskFactory, register
from tracker.api import body

pytestmark = pytest.mark.django_db

TASK = {"priority": 0, "verification_count": 1, "max_retries": 0, "max_assign_time": 0}


@pytest.fixture
def client(browser, manager, project):
    return browser(manager, project, Role.MAINTENANCE)


@pytest.mark.parametrize(
    ("part", "affected", "left"),
    [
        ("reset-failed/", 3, {"ready": 5, "leased": 1, "failed": 0}),
        ("reclaim/", 1, {"ready": 3, "leased": 0, "failed": 3}),
        ("hard-reset/", 6, {"ready": 0, "leased": 0, "failed": 0}),
    ],
)
def test_maintenance_shows_the_number_and_changes_the_tasks(client, project, worker, part, affected, left):
    TaskFactory.create_batch(3, project=project)
    TaskFactory.create_batch(3, project=project, status=Task.Status.FAILED)
    elsewhere = TaskFactory(status=Task.Status.FAILED)
    queue.lease(project=project, worker=worker.worker)
    url = f"/projects/{project.pk}/{part}"
    response = client.get(url)
    assert response.context["affected"] == affected
    assert Task.objects.filter(project=project).count() == 6
    told = client.post(url, follow=True)
    assert f"{affected} task" in str(next(iter(told.context["messages"])))
    now = told.context["overview"]
    assert {name: getattr(now, name) for name in left} == left
    elsewhere.refresh_from_db()
    assert elsewhere.status == Task.Status.FAILED


def test_submit_a_task(client, project):
    url = f"/projects/{project.pk}/console/"
    fields = {"recipe": " <b>as it is</b> ", "priority": "-5", "verification_count": "2", "unique_string": "once"}
    assert client.post(url, TASK | fields).status_code == 302
    task = Task.objects.get(project=project)
    assert (task.recipe, task.priority, task.verification_count) == (" <b>as it is</b> ", -5, 2)
    assert task.hash64 == hash_of("once")
    told = client.post(url, TASK | fields, follow=True)
    assert "1 was there already" in told.content.decode()
    assert Task.objects.count() == 1


@pytest.mark.parametrize(
    "fields", [{"recipe": ""}, {"priority": 40_000}, {"verification_count": 0}, {"max_retries": -1}]
)
def test_submit_refused(client, project, fields):
    response = client.post(f"/projects/{project.pk}/console/", TASK | {"recipe": "x"} | fields)
    assert response.status_code == 400
    assert set(response.context["task_form"].errors) == set(fields)
    assert not Task.objects.exists()


def test_recipes_are_bounded(client, project, settings):
    settings.MAX_RECIPE_BYTES = 10
    response = client.post(f"/projects/{project.pk}/console/", TASK | {"recipe": "x" * 11})
    assert "at most 10 bytes" in str(response.context["task_form"].errors["recipe"])
    assert "line 1: recipe" in str(upload(client, project, b"x" * 11).context["file_form"].errors)
    assert not Task.objects.exists()


def test_a_large_form_needs_a_file(client, project, settings):
    """A field takes many times its size in memory."""
    settings.MAX_BODY_BYTES = 1000
    address = f"/projects/{project.pk}/console/"
    sent = {"content_type": "application/x-www-form-urlencoded"}
    assert client.post(address, "recipe=" + "%41" * 400, **sent).status_code == 413
    assert upload(client, project, b"x" * 2000).status_code == 302


def test_one_large_form_at_a_time(client, project, settings, monkeypatch):
    settings.MAX_BODY_BYTES = 1000
    monkeypatch.setattr(body, "LARGE_PARSE_SECONDS", 0.01)
    with body._large_parse:
        assert upload(client, project, b"x" * 2000).status_code == 503
    assert not Task.objects.exists()


@pytest.mark.parametrize("path", ["/accounts/login/", "/admin/projects/project/add/"])
def test_forms_have_few_fields(client, path):
    response = client.post(path, b"&a" * 2000, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 400


def upload(client, project, content, **fields):
    file = SimpleUploadedFile("tasks.txt", content)
    return client.post(f"/projects/{project.pk}/console/", {"file": file, "kind": "lines"} | fields)


def test_submit_a_file(client, project):
    assert upload(client, project, "eins\n\nzwei\r\ndrei ü".encode()).status_code == 302
    assert list(Task.objects.order_by("pk").values_list("recipe", flat=True)) == ["eins", "zwei", "drei ü"]
    upload(client, project, b"vier\nvier\neins", unique="on")
    assert Task.objects.count() == 5


def test_a_byte_order_mark_is_not_part_of_a_recipe(client, project):
    upload(client, project, b"\xef\xbb\xbfeins\nzwei")
    assert list(Task.objects.order_by("pk").values_list("recipe", flat=True)) == ["eins", "zwei"]


def test_submit_a_file_of_json(client, project):
    upload(client, project, b'{"recipe": "a", "priority": 7}\n{"recipe": "b"}\n', kind="jsonl")
    assert sorted(Task.objects.values_list("recipe", "priority")) == [("a", 7), ("b", 0)]


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b'{"recipe": "a"}\n{"recipe": 5}', "jsonl", "line 2: recipe"),
        (b"[]", "jsonl", "line 1"),
        (b"\xff", "lines", "line 1"),
        (b"", "lines", "empty"),
    ],
)
def test_an_invalid_file_stores_nothing(client, project, content, kind, told):
    response = upload(client, project, content, kind=kind)
    assert response.status_code == 400
    assert told in str(response.context["file_form"].errors)
    assert not Task.objects.exists()


def test_a_file_that_is_too_large(client, project, settings):
    settings.MAX_BULK_BODY_BYTES = 10
    assert "submit_tasks" in str(upload(client, project, b"x" * 11).context["file_form"].errors)


def test_rate_limits_do_not_apply_to_the_console(browser, manager):
    slow = ProjectFactory(submit_rate=0.001)
    client = browser(manager, slow, Role.MAINTENANCE)
    for recipe in "ab":
        assert client.post(f"/projects/{slow.pk}/console/", TASK | {"recipe": recipe}).status_code == 302
    assert Task.objects.count() == 2


def test_workers(visitor, project):
    busy, idle = register("busy").worker, register("<i>idle</i>", paused=True).worker
    ClosedTotal.objects.create(project=project, worker=busy, count=1234)
    response = visitor.get("/workers/")
    assert [one.id for one in response.context["page"]] == [busy.pk, idle.pk]
    page = response.content.decode()
    assert "1,234" in page
    assert "&lt;i&gt;idle" in page
    found = visitor.get("/workers/", {"q": "BUS"}).context["page"]
    assert [one.id for one in found] == [busy.pk]


def test_no_workers(visitor):
    assert "No worker has registered yet" in visitor.get("/workers/").content.decode()
    assert "No worker is called" in visitor.get("/workers/", {"q": "x"}).content.decode()
