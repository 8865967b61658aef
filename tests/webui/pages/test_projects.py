"""/projects/."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from projects.models import Project, Snapshot
from projects.queries import Totals, newest_totals
from projects.roles import Role
from tasks import queue
from tasks.models import Task
from tasks.queue import upkeep
from tests.factories import ProjectFactory, TaskFactory
from webui.pages import projects

pytestmark = pytest.mark.django_db
URL = "/projects/"


def names(response):
    return [project.name for project, _, _ in response.context["rows"]]


def test_it_works(visitor, project):
    TaskFactory.create_batch(3, project=project)
    response = visitor.get(URL)
    assert response.status_code == 200
    assert names(response) == [project.name]
    assert response.context["rows"][0][1].ready == 3
    assert f'href="/projects/{project.pk}/"' in response.content.decode()


def test_hidden_projects_require_read(visitor, browser, manager):
    hidden = ProjectFactory(secluded=True)
    assert names(visitor.get(URL)) == []
    assert names(browser(manager).get(URL)) == []
    assert names(browser(manager, hidden, Role.READ).get(URL)) == [hidden.name]


def test_highest_priority_first_then_by_name(visitor):
    for name, priority in (("b", 0), ("a", 0), ("z", 5)):
        ProjectFactory(name=name, priority=priority)
    assert names(visitor.get(URL)) == ["z", "a", "b"]


def test_search(visitor):
    ProjectFactory(name="Render frames")
    ProjectFactory(name="Crawl")
    assert names(visitor.get(URL, {"q": "FRAME"})) == ["Render frames"]
    assert "No project is called" in visitor.get(URL, {"q": "nothing like it"}).content.decode()


def test_pagination(visitor):
    ProjectFactory.create_batch(51)
    first, second = visitor.get(URL), visitor.get(URL, {"page": 2})
    assert (len(names(first)), len(names(second))) == (50, 1)
    assert not set(names(first)) & set(names(second))
    assert visitor.get(URL, {"page": "x"}).status_code == 200


def total(response):
    return response.context["total"]


def test_totals_are_the_sums_of_what_is_shown(visitor, project, worker):
    other = ProjectFactory()
    TaskFactory.create_batch(3, project=project)
    TaskFactory.create_batch(2, project=other)
    TaskFactory.create_batch(4, project=other, status=Task.Status.FAILED)
    TaskFactory(project=ProjectFactory(secluded=True))
    queue.lease(project=project, worker=worker.worker)
    task = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
    found = total(visitor.get(URL))
    assert (found.projects, found.ready, found.leased, found.failed, found.closed) == (2, 3, 1, 4, 1)
    # One task within the shortest time over which a rate is measured.
    assert (found.rate, found.approximate) == (pytest.approx(0.1), False)
    assert total(visitor.get(URL, {"q": other.name})).ready == 2


def test_totals_include_the_other_pages(visitor, monkeypatch):
    monkeypatch.setattr(projects, "PROJECTS_PER_PAGE", 1)
    first, second, third, unseen = (ProjectFactory(name=name, secluded=name == "d") for name in "abcd")
    for one in (first, second, third, unseen):
        TaskFactory.create_batch(2, project=one)
        TaskFactory(project=one, status=Task.Status.FAILED)
    upkeep.take_snapshots()
    TaskFactory.create_batch(5, project=first)
    TaskFactory.create_batch(5, project=second)
    # The first page's project is counted, the others are as old as their snapshots.
    found = total(visitor.get(URL))
    assert (found.projects, found.ready, found.failed, found.approximate) == (3, 7 + 2 + 2, 3, True)
    assert total(visitor.get(URL, {"page": 2})).ready == 2 + 7 + 2


def test_rates_of_the_other_pages(project):
    now = timezone.now()
    columns = ("new_task_count", "failed_task_count", "closed_task_count", "awaiting_verification_count")
    for minutes, closed in ((90, 0), (30, 100), (0, 1000)):
        counts = dict.fromkeys((*columns, "worker_access_count"), 0) | {"closed_task_count": closed}
        Snapshot.objects.create(project=project, taken=now - timedelta(minutes=minutes), **counts)
    unknown = ProjectFactory().pk
    assert newest_totals([project.pk, unknown], rate_seconds=600).rate == pytest.approx(900 / 1800)
    assert newest_totals([unknown], rate_seconds=600) == newest_totals([], rate_seconds=600) == Totals()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("public", ["open"]),
        ("private", ["closed", "idle"]),
        ("hidden", ["secret"]),
        ("paused", ["idle"]),
        ("running", ["closed", "open", "secret"]),
        ("", ["closed", "idle", "open", "secret"]),
        ("nonsense", ["closed", "idle", "open", "secret"]),
    ],
)
def test_kinds(admin, visitor, kind, expected):
    ProjectFactory(name="open")
    ProjectFactory(name="closed", private=True)
    ProjectFactory(name="idle", private=True, paused=True)
    ProjectFactory(name="secret", secluded=True)
    assert names(admin.get(URL, {"kind": kind})) == expected
    assert total(admin.get(URL, {"kind": kind})).projects == len(expected)
    assert names(visitor.get(URL, {"kind": kind})) == [name for name in expected if name != "secret"]


def test_no_project_of_a_kind(visitor, project):
    page = visitor.get(URL, {"kind": "paused"}).content.decode()
    assert "There is no such project" in page


def test_orders(visitor):
    for name, priority in (("b", 0), ("c", 0), ("a", 0), ("z", 5)):
        ProjectFactory(name=name, priority=priority)
    assert names(visitor.get(URL, {"sort": "name"})) == ["a", "b", "c", "z"]
    assert names(visitor.get(URL, {"sort": "newest"})) == ["z", "a", "c", "b"]
    assert names(visitor.get(URL, {"sort": "x"})) == ["z", "a", "b", "c"]


def test_pages_keep_the_filters(visitor, monkeypatch):
    monkeypatch.setattr(projects, "PROJECTS_PER_PAGE", 1)
    for name in ("a&b 1", "a&b 2", "a&b 3"):
        ProjectFactory(name=name)
    page = visitor.get(URL, {"q": "a&b", "kind": "public", "sort": "newest", "page": 2})
    assert names(page) == ["a&b 2"]
    following = re.search(r'<a href="([^"]+)" rel="next">', page.content.decode())
    assert names(visitor.get(URL + unescape(following[1]))) == ["a&b 1"]


def test_queries_do_not_grow_with_projects(visitor, django_assert_max_num_queries):
    ProjectFactory.create_batch(30)
    with django_assert_max_num_queries(6):
        visitor.get(URL)


def test_names_are_escaped(visitor):
    ProjectFactory(name="<script>alert(1)</script>")
    page = visitor.get(URL).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_no_projects_yet(visitor, admin):
    assert "There is no project yet" in visitor.get(URL).content.decode()
    assert 'href="/projects/new/"' in admin.get(URL).content.decode()
    assert 'href="/projects/new/"' not in visitor.get(URL).content.decode()
    assert not Project.objects.exists()
