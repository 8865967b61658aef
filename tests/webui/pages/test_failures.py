"""/failures/, a project's failures, the page of a group, and what can be done with its tasks."""

from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tasks import queue
from tasks.models import Attempt, FailureGroup, Task
from tasks.queries import failures
from tasks.queue.expiry import expire_leases
from tasks.queue.tallying import fold_outcomes
from tests.factories import FailureGroupFactory, ProjectFactory, TaskFactory, UserFactory, expire, grant, register
from tests.tasks.test_failures import fail
from tracker.text import gist
from webui.pages import failures as pages

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return ProjectFactory(version="v1", name="Render frames")


@pytest.fixture
def client(browser, manager, project):
    manager.is_staff = True
    manager.save()
    return browser(manager, project, Role.READ | Role.MAINTENANCE)


def read(client, address, **options):
    response = client.get(address, **options)
    assert response.status_code == 200, response.status_code
    return unescape(response.content.decode())


def first_group(client, project):
    return client.get(f"/projects/{project.pk}/failures/").context["groups"][0]


def test_it_works(client, project, worker):
    fail(project, worker, "Traceback:\n  line 1\n  line 2\nline 3\n", output='{"log": "<b>much</b>"}')
    page = read(client, f"/projects/{project.pk}/failures/")
    assert ">Traceback:\n…\nline 3<" in page
    one = first_group(client, project)
    assert f'href="{one.address}"' in page
    page = read(client, one.address)
    assert "Traceback:\n  line 1\n  line 2\nline 3" in page
    assert '{"log": "<b>much</b>"}' in page
    assert b"<b>much" not in client.get(one.address).content
    task = Task.objects.get()
    assert f'<a href="/tasks/{task.pk}/">{task.pk}</a>' in page
    assert f'href="/workers/{worker.worker.pk}/"' in page
    assert f'href="/logs/?task={task.pk}"' in page
    assert f'href="/projects/{project.pk}/tasks/?failure={one.group.key}"' in page


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("one", "one"),
        ("one\n  two\n\nthree\n", "one\n  two\nthree"),
        ("one\ntwo\nthree\nfour", "one\n…\nfour"),
        ("\r\n one \r\n", " one"),
        ("x" * 130, "x" * 120 + "…"),
        ("a\u202eb\x1b\tc", r"a\u202eb\x1b" + "\tc"),
        (" \n", ""),
    ],
)
def test_gist(message, shown):
    assert gist(message) == shown


def test_right_after_the_failure(client, project, worker):
    fail(project, worker, "x")
    assert not FailureGroup.objects.exists()
    assert read(client, first_group(client, project).address)


def test_nothing_has_failed(client, project):
    assert "Nothing has failed" in read(client, f"/projects/{project.pk}/failures/")
    assert "Nothing has failed" in read(client, "/failures/")
    assert "There is nothing more" in read(
        client, f"/projects/{project.pk}/failures/?after=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsMSwxXQ"
    )


def test_without_a_message(client, project, worker):
    fail(project, worker, None)
    page = read(client, first_group(client, project).address)
    assert "The worker did not say what happened." in page
    TaskFactory(project=project)
    Task.objects.filter(status=2).delete()
    queue.lease(worker=worker.worker, project=project)
    expire(Task.objects.get())
    expire_leases()
    page = read(client, f"/projects/{project.pk}/failures/")
    assert "No message" in page
    assert "lease expired" in page
    assert "perhaps it has died" in read(client, first_group(client, project).address)


def test_the_tab_is_for_insiders(browser, project, visitor):
    tab = f'href="/projects/{project.pk}/failures/"'
    assert tab in read(browser(UserFactory(), project, Role.EDIT), f"/projects/{project.pk}/")
    assert tab not in read(browser(UserFactory()), f"/projects/{project.pk}/")
    assert tab not in read(visitor, f"/projects/{project.pk}/")
    hidden = ProjectFactory(secluded=True)
    with_secret = browser(UserFactory(), hidden, Role.SECRET)
    assert f"/projects/{hidden.pk}/failures/" not in read(with_secret, f"/projects/{hidden.pk}/secrets/")


def test_over_all_projects(browser, manager, project, worker):
    """Those in which the manager has a role, and no hidden ones without READ."""
    hidden, foreign = ProjectFactory(secluded=True, name="hidden"), ProjectFactory(name="foreign")
    client = browser(manager, project, Role.EDIT)
    set_roles(manager=manager, project=hidden, roles=ALL_ROLES ^ Role.READ)
    grant(worker, hidden, assign=True)
    for one in (project, hidden, foreign):
        fail(one, worker, f"in {one.name}")
    page = read(client, "/failures/")
    assert "in Render frames" in page
    assert "in hidden" not in page
    assert "in foreign" not in page
    assert f'<a href="/projects/{project.pk}/failures/"><bdi>Render frames</bdi></a>' in page
    set_roles(manager=manager, project=hidden, roles=ALL_ROLES)
    assert "in hidden" in read(client, "/failures/")
    page = read(browser(UserFactory(is_superuser=True)), "/failures/")
    assert all(f"in {one.name}" in page for one in (project, hidden, foreign))


def test_a_manager_without_roles(browser, project, worker):
    fail(project, worker, "x")
    assert "You have no role in any project yet." in read(browser(UserFactory()), "/failures/")


def test_pages_of_groups(client, project, worker, monkeypatch):
    monkeypatch.setattr(pages, "GROUPS_PER_PAGE", 2)
    fail(project, worker, *"abcde")
    address, found = f"/projects/{project.pk}/failures/", []
    query = "?"
    while query:
        response = client.get(address + query)
        found += [one.message for one in response.context["groups"]]
        query = response.context["older"]
        assert ('rel="next"' in response.content.decode()) is bool(query)
    assert found == list("edcba")


def test_pages_of_attempts(client, project, worker, monkeypatch):
    monkeypatch.setattr(pages, "ATTEMPTS_PER_PAGE", 2)
    ids = fail(project, worker, *(f"no. {n}" for n in range(5)))
    address, found = first_group(client, project).address, []
    query = "?"
    while query:
        context = client.get(address + query).context
        found += [one.attempt.task_id for one in context["attempts"]]
        query = context["older"]
    assert found == ids[::-1]


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=-1", "?after=99999999999999999999", "?after=9223372036854775808"]
)
def test_no_place_in_the_list(client, project, worker, query):
    fail(project, worker, "x")
    for address in (f"/projects/{project.pk}/failures/", first_group(client, project).address, "/failures/"):
        assert client.get(address + query).status_code == 400


@pytest.mark.parametrize("key", ["0", "x" * 16, "0" * 16, "0" * 17, "%00"])
def test_no_such_group(client, project, worker, key):
    fail(ProjectFactory(), worker, "x")
    for part in ("", *(f"{deed}/" for deed in pages.DEEDS)):
        response = client.get(f"/projects/{project.pk}/failures/{key}/{part}")
        assert response.status_code == 404
        assert "There is no such group of failures" in response.content.decode()


def test_a_group_of_another_project(client, project, worker):
    other = ProjectFactory()
    fail(other, worker, "x")
    key = failures.find([other.pk], limit=1).groups[0].key
    assert client.get(f"/projects/{project.pk}/failures/{key}/").status_code == 404
    assert client.post(f"/projects/{project.pk}/failures/{key}/delete/").status_code == 404
    assert Task.objects.exists()


@pytest.mark.parametrize(
    ("part", "sent", "left"),
    [
        ("retry", {}, [(1, 0, 0)] * 3 + [(2, 0, 1)]),
        ("priority", {"priority": "-5"}, [(2, -5, 1)] * 3 + [(2, 0, 1)]),
        ("delete", {}, [(2, 0, 1)]),
    ],
)
def test_acting_on_a_group(client, project, worker, part, sent, left):
    fail(project, worker, "a", "a", "a", "b")
    address = client.get(f"/projects/{project.pk}/failures/").context["groups"][1].address
    asked = read(client, f"{address}{part}/")
    assert "3 tasks are affected." in asked
    assert Task.objects.filter(status=2).count() == 4
    response = client.post(f"{address}{part}/", sent, follow=True)
    assert response.redirect_chain == [(address, 302)]
    assert "3 tasks were changed." in response.content.decode()
    assert list(Task.objects.order_by("pk").values_list("status", "priority", "retries")) == left


def test_buttons_only_where_they_do_something(client, browser, project, worker):
    fail(project, worker, "x", "x")
    address = first_group(client, project).address
    assert f"{address}retry/" in read(client, address)
    reader = browser(UserFactory(), project, Role.READ)
    assert f"{address}retry/" not in read(reader, address)
    Task.objects.update(status=1, failure=None)
    assert f"{address}retry/" not in read(client, address)
    assert "0 tasks are affected." in read(client, f"{address}retry/")


@pytest.mark.parametrize("priority", ["", "x", "40000"])
def test_a_wrong_priority(client, project, worker, priority):
    fail(project, worker, "x")
    address = first_group(client, project).address
    response = client.post(f"{address}priority/", {"priority": priority})
    assert response.status_code == 400
    assert set(response.context["form"].errors) == {"priority"}
    assert Task.objects.get().priority == 0


def test_maintenance_without_read(browser, manager, worker):
    """Acts on what it can't see: the message stays hidden."""
    hidden = ProjectFactory(secluded=True)
    grant(worker, hidden, assign=True)
    fail(hidden, worker, "a secret message")
    key = failures.find([hidden.pk], limit=1).groups[0].key
    client = browser(manager, hidden, Role.MAINTENANCE)
    address = f"/projects/{hidden.pk}/failures/{key}/retry/"
    assert "a secret message" not in read(client, address)
    assert client.post(address)["Location"] == f"/projects/{hidden.pk}/console/"
    assert Task.objects.get().status == 1


def test_many_failed_tasks(client, project, worker, monkeypatch):
    monkeypatch.setattr(failures, "COUNTED", 2)
    monkeypatch.setattr(failures, "COUNTED_IN_LISTS", 2)
    fail(project, worker, "x", "x", "x")
    address = first_group(client, project).address
    assert '<span class="mark bad">2+</span>' in read(client, f"/projects/{project.pk}/failures/")
    assert "2 tasks or more are affected." in read(client, f"{address}retry/")


def test_what_is_not_kept_any_more(client, project, worker):
    ids = fail(project, worker, "x", "x", "x")
    fold_outcomes()
    address = first_group(client, project).address
    Task.objects.filter(pk=ids[0]).delete()
    Attempt.objects.filter(task_id=ids[1]).update(began=timezone.now() - timedelta(hours=1))
    deleted = worker.worker.pk
    worker.worker.delete()
    page = read(client, address)
    assert f"/tasks/{ids[0]}/" not in page
    assert f"/tasks/{ids[1]}/" in page
    assert page.count(f"deleted worker {deleted}") == 4
    assert "1 h" in page
    Attempt.objects.all().delete()
    assert "None of its attempts is kept any more." in read(client, address)


def test_long_outputs_are_cut(client, project, worker, monkeypatch):
    monkeypatch.setattr(pages, "LONGEST_OUTPUT", 10)
    fail(project, worker, "x", output='"' + "y" * 100 + '"')
    page = read(client, first_group(client, project).address)
    assert '"yyyyyyyyy<' in page
    assert "The rest is left out here" in page


def test_many_workers_and_versions(client, project):
    for number in range(23):
        project.version = f"v{number}"
        project.save()
        fail(project, register(f"worker {number}"), "x")
    page = read(client, f"/projects/{project.pk}/failures/")
    assert page.count("and 21 more") == 2
    page = read(client, first_group(client, project).address)
    assert page.count("and 3 more") == 2


def test_queries_do_not_grow(client, project, worker):
    fail(project, worker, "a")
    address = first_group(client, project).address

    def queries():
        numbers = []
        for page in (f"/projects/{project.pk}/failures/", "/failures/", address):
            with CaptureQueriesContext(connection) as captured:
                assert client.get(page).status_code == 200
            numbers.append(len(captured))
        return numbers

    before = queries()
    fail(project, worker, *"aaabcdefgh")
    fail(project, register("other"), *"aabbcc")
    FailureGroupFactory.create_batch(20, project=project)
    assert queries() == before
    assert max(before) < 25
