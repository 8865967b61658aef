"""/projects/."""

import pytest

from projects.models import Project
from projects.roles import Role
from tests.factories import ProjectFactory, TaskFactory

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
