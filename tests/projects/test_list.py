"""GET /project/list."""

import pytest
from guardian.shortcuts import assign_perm

from tests.factories import ProjectFactory, grant

pytestmark = pytest.mark.django_db

URL = "/project/list"


@pytest.fixture
def names(api):
    def names(**options):
        answer = api.get(URL, **options)
        assert answer.status == 200
        return [project["name"] for project in answer.content["projects"]]

    return names


@pytest.fixture
def hidden(db):
    return ProjectFactory(name="hidden", secluded=True)


def test_it_works(api):
    second = ProjectFactory(name="second", private=True)
    first = ProjectFactory(name="first", chain=second)
    answer = api.get(URL)
    assert answer.status == 200
    assert set(answer.content) == {"projects"}
    assert answer.content["projects"] == [
        api.get(f"/project/get/{one.pk}").content["project"] for one in (first, second)
    ]


def test_nothing(api, db):
    assert api.get(URL).json == {"ok": True, "content": {"projects": []}}


def test_api_prefix(api, project):
    assert api.get(f"/api{URL}").content["projects"][0]["id"] == project.pk


def test_order_by_name(names):
    for name in ("b", "c", "a"):
        ProjectFactory(name=name)
    assert names() == ["a", "b", "c"]


def test_paused_ones_are_listed(names):
    ProjectFactory(name="resting", paused=True)
    assert names() == ["resting"]


def test_hidden_ones_are_not(names, worker, hidden):
    ProjectFactory(name="open")
    grant(worker, hidden, submit=True)
    assert names() == names(worker=worker) == ["open"]


def test_hidden_ones_with_read(api, names, manager, hidden):
    ProjectFactory(name="a hidden", secluded=True)
    ProjectFactory(name="z")
    assign_perm("projects.read_project", manager, hidden)
    api.login(manager)
    assert names() == ["hidden", "z"]


def test_read_on_an_open_project_lists_it_once(api, names, manager):
    assign_perm("projects.read_project", manager, ProjectFactory(name="open"))
    api.login(manager)
    assert names() == ["open"]


@pytest.mark.parametrize("role", ["edit_project", "manage_access_project", "secret_project", "maintain_project"])
def test_other_roles_do_not_show_hidden_ones(api, names, manager, hidden, role):
    assign_perm(f"projects.{role}", manager, hidden)
    api.login(manager)
    assert names() == []


def test_tracker_admin_sees_all(api, names, tracker_admin, hidden):
    ProjectFactory(name="z")
    api.login(tracker_admin)
    assert names() == ["hidden", "z"]


def test_never_a_secret(api, tracker_admin, hidden):
    ProjectFactory(secret="the secret", webhook_secret="the other secret")
    assert b"secret" not in api.login(tracker_admin).get(URL).response.content


def test_number_of_queries_does_not_depend_on_the_projects(api, manager, django_assert_num_queries):
    assign_perm("projects.read_project", manager, ProjectFactory(secluded=True))
    api.login(manager)
    api.get(URL)
    with django_assert_num_queries(3):
        api.get(URL)
    chain = ProjectFactory()
    for _ in range(10):
        ProjectFactory(chain=chain)
    with django_assert_num_queries(3):
        assert len(api.get(URL).content["projects"]) == 12
